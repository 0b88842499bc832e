"""Forward and backward passes of whole networks, layer by layer: `loss.backward()` by hand.

Read each function from top to bottom. The forward pass keeps the input of every layer. The backward
pass has one line for each line of the forward pass, in reverse order: it takes the gradient of the
loss with respect to the output of the layer, and returns the gradients with respect to the input
and the parameters of the layer. The gradients of the parameters are the result.

`layers` is the module `loops` or `im2col`. `weights` is a dict of arrays, named as in the state
dicts of the models. `labels` are N integers. Every network returns the loss, a dict of gradients
with the names and shapes of `weights`, and the gradient of the images.

The shapes in the comments are those of the models named in the docstrings, with N for the number of
images. The code works for any sizes.
"""

import numpy as np

DROPOUT = 0.25


def two_conv(layers, weights, images, labels, kept=None):
    """Backpropagate through MnistCNN, or MnistCNNLight with sizes 8, 16, 32 instead of 32, 64, 128.

    `kept` (N, 128) marks the hidden units that dropout keeps; None, for evaluation, drops none.
    """
    # Forward.
    conv1_out = layers.conv2d(
        images, weights["conv1.weight"], weights["conv1.bias"], padding=1
    )  # N, 32, 28, 28
    relu1_out = layers.relu(conv1_out)  # N, 32, 28, 28
    pool1_out = layers.max_pool2d(relu1_out)  # N, 32, 14, 14

    conv2_out = layers.conv2d(
        pool1_out, weights["conv2.weight"], weights["conv2.bias"], padding=1
    )  # N, 64, 14, 14
    relu2_out = layers.relu(conv2_out)  # N, 64, 14, 14
    pool2_out = layers.max_pool2d(relu2_out)  # N, 64, 7, 7

    flat = pool2_out.reshape(len(images), -1)  # N, 3136
    fc1_out = layers.linear(flat, weights["fc1.weight"], weights["fc1.bias"])  # N, 128
    relu3_out = layers.relu(fc1_out)  # N, 128

    # Dropout multiplies by 0 or by 1 / (1 - p), which keeps the expected value.
    factor = 1.0 if kept is None else kept / (1 - DROPOUT)  # N, 128
    dropout_out = relu3_out * factor  # N, 128

    logits = layers.linear(dropout_out, weights["fc2.weight"], weights["fc2.bias"])  # N, 10
    loss = layers.cross_entropy(logits, labels)

    # Backward.
    grad_logits = layers.cross_entropy_backward(logits, labels)  # N, 10
    grad_dropout_out, grad_fc2_weight, grad_fc2_bias = layers.linear_backward(
        grad_logits, dropout_out, weights["fc2.weight"]
    )  # N, 128; 10, 128; 10

    grad_relu3_out = grad_dropout_out * factor  # N, 128

    grad_fc1_out = layers.relu_backward(grad_relu3_out, fc1_out)  # N, 128
    grad_flat, grad_fc1_weight, grad_fc1_bias = layers.linear_backward(
        grad_fc1_out, flat, weights["fc1.weight"]
    )  # N, 3136; 128, 3136; 128
    grad_pool2_out = grad_flat.reshape(pool2_out.shape)  # N, 64, 7, 7

    grad_relu2_out = layers.max_pool2d_backward(grad_pool2_out, relu2_out)  # N, 64, 14, 14
    grad_conv2_out = layers.relu_backward(grad_relu2_out, conv2_out)  # N, 64, 14, 14
    grad_pool1_out, grad_conv2_weight, grad_conv2_bias = layers.conv2d_backward(
        grad_conv2_out, pool1_out, weights["conv2.weight"], padding=1
    )  # N, 32, 14, 14; 64, 32, 3, 3; 64

    grad_relu1_out = layers.max_pool2d_backward(grad_pool1_out, relu1_out)  # N, 32, 28, 28
    grad_conv1_out = layers.relu_backward(grad_relu1_out, conv1_out)  # N, 32, 28, 28
    grad_images, grad_conv1_weight, grad_conv1_bias = layers.conv2d_backward(
        grad_conv1_out, images, weights["conv1.weight"], padding=1
    )  # N, 1, 28, 28; 32, 1, 3, 3; 32

    gradients = {
        "conv1.weight": grad_conv1_weight,
        "conv1.bias": grad_conv1_bias,
        "conv2.weight": grad_conv2_weight,
        "conv2.bias": grad_conv2_bias,
        "fc1.weight": grad_fc1_weight,
        "fc1.bias": grad_fc1_bias,
        "fc2.weight": grad_fc2_weight,
        "fc2.bias": grad_fc2_bias,
    }
    return loss, gradients, grad_images


def one_conv_two_linear(layers, weights, images, labels):
    """Backpropagate through LabCNN."""
    # Forward.
    conv_out = layers.conv2d(
        images, weights["conv.weight"], weights["conv.bias"], padding=1
    )  # N, 16, 28, 28
    relu1_out = layers.relu(conv_out)  # N, 16, 28, 28
    pool_out = layers.max_pool2d(relu1_out)  # N, 16, 14, 14

    flat = pool_out.reshape(len(images), -1)  # N, 3136
    fc1_out = layers.linear(flat, weights["fc1.weight"], weights["fc1.bias"])  # N, 128
    relu2_out = layers.relu(fc1_out)  # N, 128

    logits = layers.linear(relu2_out, weights["fc2.weight"], weights["fc2.bias"])  # N, 10
    loss = layers.cross_entropy(logits, labels)

    # Backward.
    grad_logits = layers.cross_entropy_backward(logits, labels)  # N, 10
    grad_relu2_out, grad_fc2_weight, grad_fc2_bias = layers.linear_backward(
        grad_logits, relu2_out, weights["fc2.weight"]
    )  # N, 128; 10, 128; 10

    grad_fc1_out = layers.relu_backward(grad_relu2_out, fc1_out)  # N, 128
    grad_flat, grad_fc1_weight, grad_fc1_bias = layers.linear_backward(
        grad_fc1_out, flat, weights["fc1.weight"]
    )  # N, 3136; 128, 3136; 128
    grad_pool_out = grad_flat.reshape(pool_out.shape)  # N, 16, 14, 14

    grad_relu1_out = layers.max_pool2d_backward(grad_pool_out, relu1_out)  # N, 16, 28, 28
    grad_conv_out = layers.relu_backward(grad_relu1_out, conv_out)  # N, 16, 28, 28
    grad_images, grad_conv_weight, grad_conv_bias = layers.conv2d_backward(
        grad_conv_out, images, weights["conv.weight"], padding=1
    )  # N, 1, 28, 28; 16, 1, 3, 3; 16

    gradients = {
        "conv.weight": grad_conv_weight,
        "conv.bias": grad_conv_bias,
        "fc1.weight": grad_fc1_weight,
        "fc1.bias": grad_fc1_bias,
        "fc2.weight": grad_fc2_weight,
        "fc2.bias": grad_fc2_bias,
    }
    return loss, gradients, grad_images


def one_conv_one_linear(layers, weights, images, labels):
    """Backpropagate through DigitsCNN."""
    # Forward.
    conv_out = layers.conv2d(
        images, weights["conv.weight"], weights["conv.bias"], padding=1
    )  # N, 8, 8, 8
    relu_out = layers.relu(conv_out)  # N, 8, 8, 8
    pool_out = layers.max_pool2d(relu_out)  # N, 8, 4, 4

    flat = pool_out.reshape(len(images), -1)  # N, 128
    logits = layers.linear(flat, weights["fc.weight"], weights["fc.bias"])  # N, 10
    loss = layers.cross_entropy(logits, labels)

    # Backward.
    grad_logits = layers.cross_entropy_backward(logits, labels)  # N, 10
    grad_flat, grad_fc_weight, grad_fc_bias = layers.linear_backward(
        grad_logits, flat, weights["fc.weight"]
    )  # N, 128; 10, 128; 10
    grad_pool_out = grad_flat.reshape(pool_out.shape)  # N, 8, 4, 4

    grad_relu_out = layers.max_pool2d_backward(grad_pool_out, relu_out)  # N, 8, 8, 8
    grad_conv_out = layers.relu_backward(grad_relu_out, conv_out)  # N, 8, 8, 8
    grad_images, grad_conv_weight, grad_conv_bias = layers.conv2d_backward(
        grad_conv_out, images, weights["conv.weight"], padding=1
    )  # N, 1, 8, 8; 8, 1, 3, 3; 8

    gradients = {
        "conv.weight": grad_conv_weight,
        "conv.bias": grad_conv_bias,
        "fc.weight": grad_fc_weight,
        "fc.bias": grad_fc_bias,
    }
    return loss, gradients, grad_images


def sgd_step(weights, velocities, gradients, lr, momentum):
    """Return new weights and velocities: v ← momentum v + gradient, then w ← w - lr v."""
    velocities = {name: momentum * velocities[name] + gradients[name] for name in weights}
    weights = {name: weights[name] - lr * velocities[name] for name in weights}
    return weights, velocities


def no_velocities(weights):
    """Return the initial velocities, zeros."""
    return {name: np.zeros(weight.shape) for name, weight in weights.items()}
