"""Autoregressive models."""

#: The models that speak for the family in a comparison: the first that can be built for the data.
REPRESENTATIVES = ("gated_pixelcnn", "video_pixel_network", "made")
