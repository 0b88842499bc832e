"""Forward and backward passes of layers in nested loops, written as their definitions.

Letters in shapes: N images, C input channels, K output channels, H W input height and width, P Q
output height and width, R S kernel height and width; for linear layers, I input features and O
output features; M classes.

Each backward function takes grad_out, the gradient of the loss with respect to the output of the
layer, and returns the gradients of the loss with respect to its inputs and parameters. All backward
functions follow from one rule. For a forward statement `out += a * b`, the chain rule gives

    grad_a += grad_out * b        and        grad_b += grad_out * a

A backward function therefore has the same loops as its forward function, with these two lines in
the innermost loop. The gradients are sums because a weight or a pixel contributes to many outputs,
and it changes the loss through each of them.
"""

import math

import numpy as np


def conv2d(x, weight, bias, padding):
    """Convolve with stride 1: out[n,k,p,q] = bias[k] + Σ padded[n,c,p+r,q+s] weight[k,c,r,s]."""
    padded = pad(x, padding)  # N, C, H + 2 padding, W + 2 padding
    images, in_channels, padded_height, padded_width = padded.shape
    out_channels, _, kernel_height, kernel_width = weight.shape
    out_height = padded_height - kernel_height + 1
    out_width = padded_width - kernel_width + 1
    out = np.zeros((images, out_channels, out_height, out_width))  # N, K, P, Q
    for n in range(images):
        for k in range(out_channels):
            for p in range(out_height):
                for q in range(out_width):
                    total = bias[k]
                    for c in range(in_channels):
                        for r in range(kernel_height):
                            for s in range(kernel_width):
                                total += padded[n, c, p + r, q + s] * weight[k, c, r, s]
                    out[n, k, p, q] = total
    return out


def conv2d_backward(grad_out, x, weight, padding):
    """Return the gradients of x, weight and bias; grad_out has shape N, K, P, Q."""
    padded = pad(x, padding)  # N, C, H + 2 padding, W + 2 padding
    images, out_channels, out_height, out_width = grad_out.shape
    _, in_channels, kernel_height, kernel_width = weight.shape
    grad_padded = np.zeros(padded.shape)  # N, C, H + 2 padding, W + 2 padding
    grad_weight = np.zeros(weight.shape)  # K, C, R, S
    grad_bias = np.zeros(out_channels)  # K
    for n in range(images):
        for k in range(out_channels):
            for p in range(out_height):
                for q in range(out_width):
                    grad = grad_out[n, k, p, q]
                    grad_bias[k] += grad
                    for c in range(in_channels):
                        for r in range(kernel_height):
                            for s in range(kernel_width):
                                grad_padded[n, c, p + r, q + s] += grad * weight[k, c, r, s]
                                grad_weight[k, c, r, s] += grad * padded[n, c, p + r, q + s]
    grad_x = unpad(grad_padded, padding)  # N, C, H, W
    return grad_x, grad_weight, grad_bias


def pad(x, padding):
    """Add a border of zeros around each image (N, C, H, W)."""
    images, channels, height, width = x.shape
    padded = np.zeros((images, channels, height + 2 * padding, width + 2 * padding))
    padded[:, :, padding : padding + height, padding : padding + width] = x
    return padded  # N, C, H + 2 padding, W + 2 padding


def unpad(padded, padding):
    """Remove the border again: the zeros are constants, so their gradients are dropped."""
    height = padded.shape[2] - 2 * padding
    width = padded.shape[3] - 2 * padding
    return padded[:, :, padding : padding + height, padding : padding + width]  # N, C, H, W


def max_pool2d(x):
    """Return the maximum of each 2x2 window; an odd last row or column is ignored."""
    images, channels, height, width = x.shape
    out = np.zeros((images, channels, height // 2, width // 2))  # N, C, P, Q
    for n in range(images):
        for c in range(channels):
            for p in range(height // 2):
                for q in range(width // 2):
                    row, column = first_winner(x, n, c, p, q)
                    out[n, c, p, q] = x[n, c, row, column]
    return out


def max_pool2d_backward(grad_out, x):
    """Pass the gradient of each window to its maximum; the other entries get 0."""
    images, channels, out_height, out_width = grad_out.shape
    grad_x = np.zeros(x.shape)  # N, C, H, W
    for n in range(images):
        for c in range(channels):
            for p in range(out_height):
                for q in range(out_width):
                    row, column = first_winner(x, n, c, p, q)
                    grad_x[n, c, row, column] += grad_out[n, c, p, q]
    return grad_x


def first_winner(x, n, c, p, q):
    """Return the row and column of the largest entry in window p, q, the first one if tied."""
    best_row, best_column = 2 * p, 2 * q
    for row in (2 * p, 2 * p + 1):
        for column in (2 * q, 2 * q + 1):
            if x[n, c, row, column] > x[n, c, best_row, best_column]:
                best_row, best_column = row, column
    return best_row, best_column


def linear(x, weight, bias):
    """Return out[n,o] = bias[o] + Σ x[n,i] weight[o,i]."""
    images, in_features = x.shape
    out_features = len(weight)
    out = np.zeros((images, out_features))  # N, O
    for n in range(images):
        for o in range(out_features):
            total = bias[o]
            for i in range(in_features):
                total += x[n, i] * weight[o, i]
            out[n, o] = total
    return out


def linear_backward(grad_out, x, weight):
    """Return the gradients of x, weight and bias; grad_out has shape N, O."""
    images, in_features = x.shape
    out_features = len(weight)
    grad_x = np.zeros(x.shape)  # N, I
    grad_weight = np.zeros(weight.shape)  # O, I
    grad_bias = np.zeros(out_features)  # O
    for n in range(images):
        for o in range(out_features):
            grad_bias[o] += grad_out[n, o]
            for i in range(in_features):
                grad_x[n, i] += grad_out[n, o] * weight[o, i]
                grad_weight[o, i] += grad_out[n, o] * x[n, i]
    return grad_x, grad_weight, grad_bias


def relu(x):
    """Return max(x, 0)."""
    out = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        if x[index] > 0:
            out[index] = x[index]
    return out


def relu_backward(grad_out, x):
    """Pass the gradient where x > 0. At the kink x = 0, the derivative is taken as 0."""
    grad_x = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        if x[index] > 0:
            grad_x[index] = grad_out[index]
    return grad_x


def softmax(logits):
    """Return probabilities[n,m] = e^logits[n,m] / Σ_j e^logits[n,j]."""
    images, classes = logits.shape
    probabilities = np.zeros((images, classes))  # N, M
    for n in range(images):
        # Subtracting the largest logit leaves the quotient unchanged and prevents overflow.
        largest = max(logits[n])
        total = 0.0
        for m in range(classes):
            total += math.exp(logits[n, m] - largest)
        for m in range(classes):
            probabilities[n, m] = math.exp(logits[n, m] - largest) / total
    return probabilities


def cross_entropy(logits, labels):
    """Return the mean over images of -log softmax(logits)[label]; labels are N integers."""
    images, classes = logits.shape
    loss = 0.0
    for n in range(images):
        # -log (e^logit / Σ e^logit) = log Σ e^logit - logit.
        largest = max(logits[n])
        total = 0.0
        for m in range(classes):
            total += math.exp(logits[n, m] - largest)
        loss += math.log(total) + largest - logits[n, labels[n]]
    return loss / images


def cross_entropy_backward(logits, labels):
    """Return the gradient of the logits: (softmax(logits) - one-hot(labels)) / N."""
    # The loss of one image is log Σ_j e^logits[j] - logits[label]. Its derivative with respect to
    # logits[m] is
    #     e^logits[m] / Σ_j e^logits[j]  -  (1 if m is the label, else 0).
    # The mean over the images divides it by N.
    images, classes = logits.shape
    probabilities = softmax(logits)  # N, M
    grad_logits = np.zeros((images, classes))  # N, M
    for n in range(images):
        for m in range(classes):
            is_label = 1.0 if m == labels[n] else 0.0
            grad_logits[n, m] = (probabilities[n, m] - is_label) / images
    return grad_logits
