"""Programs for :func:`on_driver`: everything of our interface once, and what follows a lost context."""

EVERYTHING = """
    cuda = find_cuda("cuda-python")
    device = cuda.device()
    stream, address, there, back = cuda.create_stream(), cuda.allocate(16), cuda.pin(16), cuda.pin(16)
    events = [cuda.create_event(), cuda.create_event(blocking=True)]
    there.array[:] = np.arange(16)
    cuda.record(events[0], stream)
    cuda.copy_to_device(address, there, 12, stream)
    cuda.copy_to_host(back, address, 16, stream)
    cuda.record(events[1], stream)
    before = back.array.tolist()
    cuda.wait(events[1])
    found = {"device": [device.name, device.sm, device.memory >> 30, device.free >> 30, device.driver]}
    found["integrated"] = device.integrated
    found |= {"before": before, "copied": back.array.tolist(), "elapsed": cuda.elapsed(*events)}
    cuda.begin_capture(stream)
    cuda.copy_to_device(address, there, 16, stream)
    cuda.copy_to_host(back, address, 16, stream)
    graph = cuda.end_capture(stream)
    there.array[:] = 7
    cuda.launch(graph, stream)
    cuda.synchronize(stream)
    found["launched"] = back.array.tolist()
    cuda.destroy_graph(graph)
    other = cuda.create_stream()
    there.array[:] = 3
    cuda.copy_to_device(address, there, 16, stream)
    cuda.record(events[0], stream)
    cuda.stream_wait(other, events[0])
    cuda.copy_to_host(back, address, 16, other)
    cuda.synchronize(other)
    found["awaited"] = back.array.tolist()
    cuda.destroy_stream(other)
    for event in events:
        cuda.destroy_event(event)
    for memory in (there, back):
        cuda.unpin(memory)
    cuda.free(address)
    cuda.destroy_stream(stream)
"""

LOST = """
    cuda = find_cuda("cuda-python")
    stream, address, pinned = cuda.create_stream(), cuda.allocate(4), cuda.pin(8)
    cuda.copy_to_device(address, pinned, 8, stream)
    found = [said(cuda.synchronize, stream), said(cuda.allocate, 1), said(cuda.free, address)]
    found += [said(cuda.unpin, pinned), said(cuda.destroy_stream, stream)]
"""
