# edge-harmony on a Jetson Orin with JetPack 6: TensorRT and CUDA from NVIDIA's image, no torch.
FROM nvcr.io/nvidia/l4t-tensorrt:r10.3.0-devel

# python3-pip, g++ and python3-dev (for the loops over pixels): not every variant of the image has them; libgl1 and libglib2.0-0: what opencv-python links to
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-pip python3-dev g++ libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

COPY . /src
RUN python3 -m pip install --no-cache-dir '/src[jetson]' && rm -rf /src

ENTRYPOINT ["edge-harmony"]
CMD ["selftest", "--backend", "tensorrt", "--onnx", "edge-s-160x160-int8-signed-batch1.onnx"]
