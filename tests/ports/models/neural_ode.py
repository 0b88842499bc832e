"""Neural ordinary differential equation, integrated by Euler steps, fitted to a spiral."""

import torch
import torch.nn as nn
import torch.optim as optim

true_y0 = torch.tensor([[2.0, 0.0]])
true_A = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]])
t = torch.linspace(0.0, 2.0, 21)


class ODEFunc(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
        for m in self.net.modules():
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, mean=0, std=0.1)
                nn.init.constant_(m.bias, val=0)

    def forward(self, t, y):
        return self.net(y**3)


class Lambda(nn.Module):
    def forward(self, t, y):
        return torch.mm(y**3, true_A)


def odeint(func, y0, t):
    ys = [y0]
    for t0, t1 in zip(t[:-1], t[1:]):
        ys.append(ys[-1] + (t1 - t0) * func(t0, ys[-1]))
    return torch.stack(ys)


def build():
    return {"func": ODEFunc()}


def train(modules, steps):
    func = modules["func"]
    with torch.no_grad():
        true_y = odeint(Lambda(), true_y0, t * 0.1)
    optimizer = optim.Adam(func.parameters(), lr=1e-2)
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.95)
    losses = []
    for itr in range(1, steps + 1):
        optimizer.zero_grad()
        pred_y = odeint(func, true_y0, t * 0.1)
        loss = torch.mean(torch.abs(pred_y - true_y))
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        if itr % 10 == 0:
            print("Iter {:04d} | Total Loss {:.6f}".format(itr, loss.item()))
    return losses
