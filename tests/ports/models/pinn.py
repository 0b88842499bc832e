"""Physics-informed network for Burgers' equation: second derivatives with respect to the input."""

import math

import torch
import torch.nn as nn

nu = 0.01 / math.pi


class PINN(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.activation = nn.Tanh()
        self.linears = nn.ModuleList(
            [nn.Linear(layers[i], layers[i + 1]) for i in range(len(layers) - 1)]
        )
        for i in range(len(layers) - 1):
            nn.init.xavier_normal_(self.linears[i].weight, gain=1.0)
            nn.init.zeros_(self.linears[i].bias)

    def forward(self, x, t):
        a = torch.cat([x, t], dim=1)
        for linear in self.linears[:-1]:
            a = self.activation(linear(a))
        return self.linears[-1](a)


def residual(model, x, t):
    u = model(x, t)
    u_t = torch.autograd.grad(u, t, grad_outputs=torch.ones_like(u), create_graph=True)[0]
    u_x = torch.autograd.grad(u, x, torch.ones_like(u), retain_graph=True, create_graph=True)[0]
    u_xx = torch.autograd.grad(u_x.sum(), x, create_graph=True)[0]
    return u_t + u * u_x - nu * u_xx


def build():
    return {"model": PINN([2, 16, 16, 1])}


def train(modules, steps):
    model = modules["model"]
    x_f = (2 * torch.rand(40, 1) - 1).requires_grad_()
    t_f = torch.rand(40, 1, requires_grad=True)
    x_0 = torch.linspace(-1, 1, 16).view(-1, 1)
    t_0 = torch.zeros_like(x_0)
    u_0 = -torch.sin(math.pi * x_0)
    t_b = torch.rand(8, 1)
    x_b = torch.ones_like(t_b)

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for epoch in range(steps):
        optimizer.zero_grad()
        loss_f = torch.mean(residual(model, x_f, t_f) ** 2)
        loss_0 = torch.mean((model(x_0, t_0) - u_0).pow(2))
        loss_b = (model(x_b, t_b) ** 2).mean() + (model(-x_b, t_b) ** 2).mean()
        loss = loss_f + loss_0 + loss_b
        loss.backward()
        optimizer.step()
        losses += [loss.item(), loss_f.item()]
        if epoch % 10 == 0:
            print("Epoch: %d, Loss: %.5e" % (epoch, loss.item()))
    return losses
