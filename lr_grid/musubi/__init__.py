"""Grid modules for musubi-tuner: ``--network_module lr_grid.musubi.lora_wan_grid``.

They live here and not under networks/, because musubi-tuner's own ``networks`` is a regular package: Python looks for
``networks.lora_wan_grid`` nowhere but in there.
"""
