"""The layers of `loops.py` without loops over pixels: a convolution is one matrix product.

Letters in shapes: N images, C input channels, K output channels, H W input height and width, P Q
output height and width, R S kernel height and width; for linear layers, I input features and O
output features; M classes.

`im2col` copies the pixels under the kernel at each of the N P Q positions into a column of C R S
numbers. The convolution is then the matrix product of weight (K, C R S) and columns (C R S, N P Q).
Its backward pass is that of any matrix product out = A B:

    grad_A = grad_out Bᵀ        and        grad_B = Aᵀ grad_out

`col2im` maps the gradient of the columns back to the pixels. A pixel is copied into several
columns, so its gradient is the sum of their gradients.
"""

import numpy as np


def im2col(x, kernel_height, kernel_width, stride):
    """Copy the pixels under the kernel at each position into a column: C R S, N P Q."""
    images, channels, height, width = x.shape
    out_height = (height - kernel_height) // stride + 1
    out_width = (width - kernel_width) // stride + 1
    columns = np.zeros(
        (channels, kernel_height, kernel_width, images, out_height, out_width)
    )  # C, R, S, N, P, Q
    for r in range(kernel_height):
        for s in range(kernel_width):
            # The pixels under this kernel entry, at all positions.
            under = x[
                :, :, r : r + stride * out_height : stride, s : s + stride * out_width : stride
            ]
            columns[:, r, s] = under.transpose(1, 0, 2, 3)  # C, N, P, Q
    return columns.reshape(channels * kernel_height * kernel_width, -1)  # C R S, N P Q


def col2im(grad_columns, x_shape, kernel_height, kernel_width, stride):
    """Sum, for each pixel of x, the gradients of the columns it was copied into."""
    images, channels, height, width = x_shape
    out_height = (height - kernel_height) // stride + 1
    out_width = (width - kernel_width) // stride + 1
    grad_columns = grad_columns.reshape(
        channels, kernel_height, kernel_width, images, out_height, out_width
    )  # C, R, S, N, P, Q
    grad_x = np.zeros(x_shape)  # N, C, H, W
    for r in range(kernel_height):
        for s in range(kernel_width):
            rows = slice(r, r + stride * out_height, stride)
            cols = slice(s, s + stride * out_width, stride)
            grad_x[:, :, rows, cols] += grad_columns[:, r, s].transpose(1, 0, 2, 3)  # N, C, P, Q
    return grad_x


def conv2d(x, weight, bias, padding):
    """Convolve with stride 1: out[n,k,p,q] = bias[k] + Σ padded[n,c,p+r,q+s] weight[k,c,r,s]."""
    out_channels, _, kernel_height, kernel_width = weight.shape
    padded = pad(x, padding)  # N, C, H + 2 padding, W + 2 padding
    images, _, padded_height, padded_width = padded.shape
    out_height = padded_height - kernel_height + 1
    out_width = padded_width - kernel_width + 1
    columns = im2col(padded, kernel_height, kernel_width, stride=1)  # C R S, N P Q
    weight_rows = weight.reshape(out_channels, -1)  # K, C R S
    out = weight_rows @ columns + bias[:, None]  # K, N P Q
    out = out.reshape(out_channels, images, out_height, out_width)  # K, N, P, Q
    return out.transpose(1, 0, 2, 3)  # N, K, P, Q


def conv2d_backward(grad_out, x, weight, padding):
    """Return the gradients of x, weight and bias; grad_out has shape N, K, P, Q."""
    out_channels, _, kernel_height, kernel_width = weight.shape
    padded = pad(x, padding)  # N, C, H + 2 padding, W + 2 padding
    columns = im2col(padded, kernel_height, kernel_width, stride=1)  # C R S, N P Q
    weight_rows = weight.reshape(out_channels, -1)  # K, C R S
    grad_rows = grad_out.transpose(1, 0, 2, 3).reshape(out_channels, -1)  # K, N P Q
    # out = weight_rows @ columns + bias. The bias is added at all N P Q positions, so its gradient
    # is the sum over them.
    grad_bias = grad_rows.sum(axis=1)  # K
    grad_weight = (grad_rows @ columns.T).reshape(weight.shape)  # K, C, R, S
    grad_columns = weight_rows.T @ grad_rows  # C R S, N P Q
    grad_padded = col2im(grad_columns, padded.shape, kernel_height, kernel_width, stride=1)
    grad_x = unpad(grad_padded, padding)  # N, C, H, W
    return grad_x, grad_weight, grad_bias


def pad(x, padding):
    """Add a border of zeros around each image (N, C, H, W)."""
    return np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))


def unpad(padded, padding):
    """Remove the border again: the zeros are constants, so their gradients are dropped."""
    height = padded.shape[2] - 2 * padding
    width = padded.shape[3] - 2 * padding
    return padded[:, :, padding : padding + height, padding : padding + width]  # N, C, H, W


def max_pool2d(x):
    """Return the maximum of each 2x2 window; an odd last row or column is ignored."""
    images, channels, height, width = x.shape
    columns = pool_columns(x)  # 4, N C P Q
    out = columns.max(axis=0)  # N C P Q
    return out.reshape(images, channels, height // 2, width // 2)  # N, C, P, Q


def max_pool2d_backward(grad_out, x):
    """Pass the gradient of each window to its maximum; the other entries get 0."""
    images, channels, height, width = x.shape
    columns = pool_columns(x)  # 4, N C P Q
    # argmax returns the first of equal entries.
    winners = columns.argmax(axis=0)  # N C P Q
    windows = np.arange(len(winners))  # N C P Q
    grad_columns = np.zeros(columns.shape)  # 4, N C P Q
    grad_columns[winners, windows] = grad_out.reshape(-1)
    grad_planes = col2im(grad_columns, (images * channels, 1, height, width), 2, 2, stride=2)
    return grad_planes.reshape(x.shape)  # N, C, H, W


def pool_columns(x):
    """Return each 2x2 window as a column of 4, with each channel treated as an image."""
    images, channels, height, width = x.shape
    planes = x.reshape(images * channels, 1, height, width)  # N C, 1, H, W
    return im2col(planes, 2, 2, stride=2)  # 4, N C P Q


def linear(x, weight, bias):
    """Return x weightᵀ + bias."""
    return x @ weight.T + bias  # N, O


def linear_backward(grad_out, x, weight):
    """Return the gradients of x, weight and bias; grad_out has shape N, O."""
    grad_x = grad_out @ weight  # N, I
    grad_weight = grad_out.T @ x  # O, I
    # Broadcasting adds the bias to each image, so its gradient is the sum over the images.
    grad_bias = grad_out.sum(axis=0)  # O
    return grad_x, grad_weight, grad_bias


def relu(x):
    """Return max(x, 0)."""
    return np.maximum(x, 0)


def relu_backward(grad_out, x):
    """Pass the gradient where x > 0. At the kink x = 0, the derivative is taken as 0."""
    return grad_out * (x > 0)


def softmax(logits):
    """Return e^logits / Σ e^logits for each row of logits (N, M)."""
    # Subtracting the largest logit leaves the quotient unchanged and prevents overflow.
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))  # N, M
    return powers / powers.sum(axis=1, keepdims=True)  # N, M


def cross_entropy(logits, labels):
    """Return the mean over images of -log softmax(logits)[label]; labels are N integers."""
    # -log (e^logit / Σ e^logit) = log Σ e^logit - logit.
    images = np.arange(len(labels))  # N
    shifted = logits - logits.max(axis=1, keepdims=True)  # N, M
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[images, labels]  # N
    return losses.mean()


def cross_entropy_backward(logits, labels):
    """Return the gradient of the logits: (softmax(logits) - one-hot(labels)) / N."""
    # The loss of one image is log Σ_j e^logits[j] - logits[label]. Its derivative with respect to
    # logits[m] is
    #     e^logits[m] / Σ_j e^logits[j]  -  (1 if m is the label, else 0).
    # The mean over the images divides it by N.
    images = np.arange(len(labels))  # N
    grad_logits = softmax(logits)  # N, M
    grad_logits[images, labels] -= 1
    return grad_logits / len(labels)  # N, M
