"""Model-agnostic meta-learning on sine waves: the gradient of a loss after a gradient step."""

import math
from collections import OrderedDict

import torch
import torch.nn as nn
import torch.nn.functional as F


class SineModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            OrderedDict(
                [
                    ("l1", nn.Linear(1, 20)),
                    ("relu", nn.ReLU()),
                    ("l2", nn.Linear(20, 20)),
                    ("tanh", nn.Tanh()),
                    ("l3", nn.Linear(20, 1)),
                ]
            )
        )

    def forward(self, x):
        return self.net(x)

    def argforward(self, x, weights):
        x = F.relu(F.linear(x, weights[0], weights[1]))
        x = torch.tanh(F.linear(x, weights[2], weights[3]))
        return F.linear(x, weights[4], weights[5])


def sample_task():
    amplitude = torch.rand(1) * 4.9 + 0.1
    phase = torch.rand(1) * math.pi

    def sample_data(size):
        x = torch.rand(size, 1) * 10 - 5
        return x, amplitude * torch.sin(x + phase)

    return sample_data


def build():
    return {"model": SineModel()}


def train(modules, steps, inner_lr=0.01, inner_steps=2, tasks=3):
    model = modules["model"]
    criterion = nn.MSELoss()
    meta_optimiser = torch.optim.Adam(model.parameters(), lr=0.005)

    losses = []
    for step in range(steps):
        meta_loss = 0.0
        meta_optimiser.zero_grad()
        for _ in range(tasks):
            task = sample_task()
            x_support, y_support = task(10)
            x_query, y_query = task(10)
            fast_weights = [w.clone() for w in model.parameters()]
            for _ in range(inner_steps):
                loss = criterion(model.argforward(x_support, fast_weights), y_support)
                grads = torch.autograd.grad(loss, fast_weights, create_graph=True)
                fast_weights = [w - inner_lr * g for w, g in zip(fast_weights, grads)]
            meta_loss = meta_loss + criterion(model.argforward(x_query, fast_weights), y_query)
        meta_loss = meta_loss / tasks
        meta_loss.backward()
        meta_optimiser.step()
        losses.append(meta_loss.item())
        if step % 5 == 0:
            print(f"step {step}: meta loss {meta_loss.item():.3f}")
    return losses
