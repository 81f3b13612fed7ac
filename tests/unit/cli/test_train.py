"""``train`` from the command line."""

from tests.unit.cli.making import run, run_json


def test_train_from_the_command_line(capsys, mini_root, tmp_path):
    from tests.unit.training.making import RECIPE

    path = tmp_path / "r.toml"
    path.write_text(RECIPE.format(root="absent", layout="iharmony4"))
    arguments = ("train", path, "--data", mini_root, "-o", tmp_path / "out", "--device", "cpu", "--threads", "1")
    result = run_json(capsys, *arguments)
    assert result["images"] == 80
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert "--resume" in err
    status, out, _ = run(capsys, *arguments, "--resume")
    assert status == 0
    assert "next: edge-harmony export" in out
    assert run(capsys, "train", tmp_path / "absent.toml")[0] == 2
    assert run(capsys, "train", path, "-o", tmp_path / "o")[0] == 2  # its data root is absent


def test_compiling_needs_a_compiler(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    status, _, error = run(
        capsys, "train", "edge-n", "--data", f"pairs={tmp_path}", "-o", tmp_path / "out", "--compile"
    )
    assert status == 3
    assert "C++ compiler" in error
    assert not (tmp_path / "out").exists()
