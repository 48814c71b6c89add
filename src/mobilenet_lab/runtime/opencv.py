"""Import OpenCV without its change of LD_LIBRARY_PATH, which would reach every process started later."""

import os

__all__ = ["cv2"]

_before = os.environ.get("LD_LIBRARY_PATH")

import cv2  # noqa: E402

if _before is None:
    os.environ.pop("LD_LIBRARY_PATH", None)
else:
    os.environ["LD_LIBRARY_PATH"] = _before
