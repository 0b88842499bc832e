"""The layers of `loops.py` without loops over pixels: a convolution becomes one matrix product.

Letters of shapes: N images, C channels in, K channels out, H W the input, P Q the output, R S the
kernel; I features in, O features out of a linear layer; M classes.

`im2col` copies what lies under the kernel, at each of its N P Q places, into a column of C R S
numbers. The convolution is then weight (K, C R S) times columns (C R S, N P Q), and its backward is
that of any product of matrices, out = A B:

    grad_A = grad_out Bᵀ        and        grad_B = Aᵀ grad_out

`col2im` leads the columns' gradient back to the pixels: a pixel was copied into several columns, so
its gradient is the sum of theirs.
"""

import numpy as np


def im2col(x, kernel_height, kernel_width, stride):
    """Return as columns what lies under the kernel at each place: C R S, N P Q."""
    images, channels, height, width = x.shape
    out_height = (height - kernel_height) // stride + 1
    out_width = (width - kernel_width) // stride + 1
    columns = np.zeros(
        (channels, kernel_height, kernel_width, images, out_height, out_width)
    )  # C, R, S, N, P, Q
    for r in range(kernel_height):
        for s in range(kernel_width):
            # The pixels that this entry of the kernel meets, at all places at once.
            under = x[
                :, :, r : r + stride * out_height : stride, s : s + stride * out_width : stride
            ]
            columns[:, r, s] = under.transpose(1, 0, 2, 3)  # C, N, P, Q
    return columns.reshape(channels * kernel_height * kernel_width, -1)  # C R S, N P Q


def col2im(grad_columns, x_shape, kernel_height, kernel_width, stride):
    """Add up, for each pixel of x, the gradients of the columns that it was copied into."""
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
    """Return the gradients for x, weight and bias; grad_out is N, K, P, Q."""
    out_channels, _, kernel_height, kernel_width = weight.shape
    padded = pad(x, padding)  # N, C, H + 2 padding, W + 2 padding
    columns = im2col(padded, kernel_height, kernel_width, stride=1)  # C R S, N P Q
    weight_rows = weight.reshape(out_channels, -1)  # K, C R S
    grad_rows = grad_out.transpose(1, 0, 2, 3).reshape(out_channels, -1)  # K, N P Q
    # out = weight_rows columns + bias, with bias the same at all N P Q places.
    grad_bias = grad_rows.sum(axis=1)  # K
    grad_weight = (grad_rows @ columns.T).reshape(weight.shape)  # K, C, R, S
    grad_columns = weight_rows.T @ grad_rows  # C R S, N P Q
    grad_padded = col2im(grad_columns, padded.shape, kernel_height, kernel_width, stride=1)
    grad_x = unpad(grad_padded, padding)  # N, C, H, W
    return grad_x, grad_weight, grad_bias


def pad(x, padding):
    """Put a border of zeros around each image (N, C, H, W)."""
    return np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))


def unpad(padded, padding):
    """Cut the border off again: what moves the zeros moves no pixel of the image."""
    height = padded.shape[2] - 2 * padding
    width = padded.shape[3] - 2 * padding
    return padded[:, :, padding : padding + height, padding : padding + width]  # N, C, H, W


def max_pool2d(x):
    """Return the maximum of each 2x2 window; an odd last row or column is in none."""
    images, channels, height, width = x.shape
    columns = pool_columns(x)  # 4, N C P Q
    out = columns.max(axis=0)  # N C P Q
    return out.reshape(images, channels, height // 2, width // 2)  # N, C, P, Q


def max_pool2d_backward(grad_out, x):
    """Hand the gradient of each window to the one entry that was put out; the others get 0."""
    images, channels, height, width = x.shape
    columns = pool_columns(x)  # 4, N C P Q
    # argmax finds the first of equal entries.
    winners = columns.argmax(axis=0)  # N C P Q
    windows = np.arange(len(winners))  # N C P Q
    grad_columns = np.zeros(columns.shape)  # 4, N C P Q
    grad_columns[winners, windows] = grad_out.reshape(-1)
    grad_planes = col2im(grad_columns, (images * channels, 1, height, width), 2, 2, stride=2)
    return grad_planes.reshape(x.shape)  # N, C, H, W


def pool_columns(x):
    """Return each 2x2 window as a column of 4; channels are pooled apart, as if images."""
    images, channels, height, width = x.shape
    planes = x.reshape(images * channels, 1, height, width)  # N C, 1, H, W
    return im2col(planes, 2, 2, stride=2)  # 4, N C P Q


def linear(x, weight, bias):
    """Return x weightᵀ + bias."""
    return x @ weight.T + bias  # N, O


def linear_backward(grad_out, x, weight):
    """Return the gradients for x, weight and bias; grad_out is N, O."""
    grad_x = grad_out @ weight  # N, I
    grad_weight = grad_out.T @ x  # O, I
    # Broadcasting used the bias once for each image, so its gradient is a sum over them.
    grad_bias = grad_out.sum(axis=0)  # O
    return grad_x, grad_weight, grad_bias


def relu(x):
    """Return max(x, 0)."""
    return np.maximum(x, 0)


def relu_backward(grad_out, x):
    """Let the gradient through where x > 0; at 0, where there is a kink, relu' is taken as 0."""
    return grad_out * (x > 0)


def softmax(logits):
    """Return e^logits / Σ e^logits of each row (N, M)."""
    # The largest logit cancels from the quotient, and keeps e^x from overflow.
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
    """Return the gradient for the logits: (softmax(logits) - one-hot(labels)) / N."""
    # One image's loss is log Σ_j e^logits[j] - logits[label]. Its derivative for logits[m] is
    #     e^logits[m] / Σ_j e^logits[j]  -  (1 if m is the label, else 0).
    images = np.arange(len(labels))  # N
    grad_logits = softmax(logits)  # N, M
    grad_logits[images, labels] -= 1
    return grad_logits / len(labels)  # N, M
