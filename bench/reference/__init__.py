"""FreqFusion and SegNeXt in plain PyTorch: what freqfusion is compared with, in results and in time."""
