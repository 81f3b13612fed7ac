"""Profiles and layer information in trtexec's formats, and two of them side by side."""

from __future__ import annotations

import json

import pytest

from edge_harmony.backends.tensorrt.profiling import Layer, diff, read_profile, slower_in_integers
from edge_harmony.errors import InputError, UsageError

# Names and keys as trtexec 8.6 and 10.3 write them; the numbers are made up.
FP16 = [
    {"count": 100},
    {
        "name": "/encoder.0/Conv + /encoder.0/Relu",
        "timeMs": 5.0,
        "averageMs": 0.05,
        "medianMs": 0.05,
        "percentage": 25.0,
    },
    {
        "name": "/encoder.1/Conv + /encoder.1/Relu",
        "timeMs": 8.0,
        "averageMs": 0.08,
        "medianMs": 0.08,
        "percentage": 40.0,
    },
    {
        "name": "PWN(/bottleneck/Mul, /bottleneck/Add)",
        "timeMs": 4.0,
        "averageMs": 0.04,
        "medianMs": 0.04,
        "percentage": 20.0,
    },
    {"name": "/head/Conv", "timeMs": 3.0, "averageMs": 0.03, "percentage": 15.0},
]
INT8 = [
    {"count": 100},
    {
        "name": "/encoder.0/Conv + /encoder.0/Relu",
        "timeMs": 6.0,
        "averageMs": 0.06,
        "medianMs": 0.06,
        "percentage": 30.0,
    },
    {
        "name": "/encoder.1/Conv + /encoder.1/Relu + /bottleneck/Mul",
        "timeMs": 7.0,
        "averageMs": 0.07,
        "medianMs": 0.07,
        "percentage": 35.0,
    },
    {
        "name": "Reformatting CopyNode for Input Tensor 0 to /head/Conv",
        "timeMs": 2.0,
        "averageMs": 0.02,
        "medianMs": 0.02,
        "percentage": 10.0,
    },
    {"name": "/head/Conv", "timeMs": 2.0, "averageMs": 0.02, "medianMs": 0.02, "percentage": 10.0},
]
INFORMATION = {
    "Layers": [
        {
            "Name": "/encoder.0/Conv + /encoder.0/Relu",
            "Outputs": [{"Name": "a", "Format/Datatype": "Thirty-two wide Int8"}],
        },
        {"Name": "/encoder.1/Conv + /encoder.1/Relu + /bottleneck/Mul", "Outputs": [{"Datatype": "Int8"}]},
        {"Name": "/head/Conv", "Outputs": [{"Name": "b", "Format/Datatype": "Row major linear FP16 format"}]},
    ]
}


@pytest.fixture
def files(tmp_path):
    paths = {}
    for name, content in {"fp16": FP16, "int8": INT8, "layers": INFORMATION}.items():
        paths[name] = tmp_path / f"{name}.json"
        paths[name].write_text(json.dumps(content))
    return paths


def test_layers_that_were_fused_differently_are_compared_as_a_whole(files):
    rows = diff(read_profile(files["fp16"]), read_profile(files["int8"], files["layers"]))
    by_name = {row.names[1] or row.names[0]: row for row in rows}
    fused = by_name["/encoder.1/Conv + /encoder.1/Relu + /bottleneck/Mul"]
    assert fused.names[0] == "/encoder.1/Conv + /encoder.1/Relu | PWN(/bottleneck/Mul, /bottleneck/Add)"
    assert fused.milliseconds == pytest.approx((0.12, 0.07))
    assert fused.precisions == ("", "INT8")
    reformat = by_name["Reformatting CopyNode for Input Tensor 0 to /head/Conv"]
    assert reformat.reformat
    assert reformat.milliseconds == (0.0, 0.02)
    assert by_name["/head/Conv"].precisions == ("", "FP16")
    assert by_name["/head/Conv"].milliseconds == (0.03, 0.02)  # without a median the average
    assert [row.names[1] for row in slower_in_integers(rows)] == ["/encoder.0/Conv + /encoder.0/Relu"]
    assert sum(row.milliseconds[0] for row in rows) == pytest.approx(0.20)


def test_nothing_is_called_slower_for_being_alone(files):
    rows = diff(read_profile(files["fp16"]), read_profile(files["fp16"]))
    assert all(row.change == 0 for row in rows)
    assert slower_in_integers(rows) == []


ROW = '[{{"name": "x", "averageMs": 1}}, {{"name": {}, "averageMs": 1, "medianMs": {}}}]'
NO_ROWS = [
    *(ROW.format(name, 1) for name in ("Infinity", "3", "null", "[]", "{}", "true")),
    *(ROW.format('"y"', time) for time in ("NaN", "Infinity", "-1", "1e300", "9" * 400, '"1"', "null", "[]", "true")),
]


@pytest.mark.parametrize(
    "content", ["[]", "{}", "3", '[{"count": 3}]', '[{"name": "x"}]', "[[1]]", "null", '"name"', *NO_ROWS]
)
def test_what_is_no_profile_is_refused(content, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(InputError, match="is no profile"):
        read_profile(path)


@pytest.mark.parametrize(
    "layers",
    [
        *("3", "{}", "null", '"text"', '["a name"]', "[3]", '[{"Name": "/head/Conv"}]'),
        *(
            f'[{{"Name": "/head/Conv", "Outputs": {outputs}}}]'
            for outputs in ("3", "{}", '"text"', "[3]", "[[]]", "[]")
        ),
        *(f'[{{"Name": {name}, "Outputs": [{{"Datatype": "INT8"}}]}}]' for name in ("3", "[]", "{}", "null")),
        '[{"Name": "/head/Conv", "Outputs": [{"Datatype": {"a": []}}]}]',
    ],
)
def test_layer_information_of_other_types_tells_no_precision(files, tmp_path, layers):
    path = tmp_path / "layers.json"
    path.write_text(f'{{"Layers": {layers}}}')
    rows = read_profile(files["int8"], path)
    assert not {row.precision for row in rows} & {"INT8", "FP16", "FP32"}


def test_names_of_brackets_are_read_once():
    """A search that begins anew at each of a million brackets would take an hour."""
    assert len(Layer("[" * 1_000_000, 1.0, "").parts) == 1
    assert Layer("{ForeignNode[/a/Conv.../b/Relu]} + /c/Conv [1]", 1.0, "").parts == {"ForeignNode", "/c/Conv"}


def test_files_that_cannot_be_read(files, tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        read_profile(tmp_path / "none.json")
    (tmp_path / "x.json").write_bytes(b"\xff{")
    with pytest.raises(InputError, match="is not JSON"):
        read_profile(tmp_path / "x.json")
    with pytest.raises(InputError, match="is not JSON"):
        read_profile(files["fp16"], tmp_path / "x.json")
