"""The playground: a web page to draw digits, train models, and watch convolution and backprop.

`python -m tinygrad_np playground` starts it. It needs Flask, the extra `playground`.
"""

__all__: list[str] = []
