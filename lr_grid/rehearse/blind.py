"""What a rehearsal cannot see, told with every result."""

BLIND = (
    "memory and speed on the GPU",
    "losses: NaN, divergence, quality",
    "loss scaling of fp16, fp8 weights, xformers/flash/sage kernels, torch.compile",
    "block swap and offloading, several GPUs (DDP, DeepSpeed)",
    "damaged images and caches (sizes are read, pixels are not)",
    "tensors that a real forward pass never reaches, and values of the base model (DoRA, --base_weights)",
)
