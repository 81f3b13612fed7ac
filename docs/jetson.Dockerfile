# edge-harmony on a Jetson Orin with JetPack 6: TensorRT and CUDA from NVIDIA's image, no torch.
FROM nvcr.io/nvidia/l4t-tensorrt:r10.3.0-devel

COPY . /src
RUN python3 -m pip install --no-cache-dir '/src[jetson]' && rm -rf /src

ENTRYPOINT ["edge-harmony"]
CMD ["selftest", "--backend", "tensorrt", "--onnx", "edge-s-256x256-int8.onnx"]
