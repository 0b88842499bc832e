"""Convolutional autoencoder with transposed convolutions."""

import torch
import torch.nn as nn
import torch.optim as optim


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Flatten(),
            nn.Linear(16 * 4 * 4, 10),
        )
        self.decoder = nn.Sequential(
            nn.Linear(10, 16 * 4 * 4),
            nn.Unflatten(1, (16, 4, 4)),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(8, 1, kernel_size=4, stride=2, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, x):
        return self.decoder(self.encoder(x))


def build():
    return {"model": Autoencoder()}


def train(modules, steps):
    model = modules["model"]
    clean = torch.rand(8, 1, 16, 16)
    criterion = nn.MSELoss()
    optimizer = optim.RMSprop(model.parameters(), lr=1e-3, alpha=0.9)
    scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=2)

    losses = []
    for step in range(steps):
        noisy = torch.clamp(clean + 0.1 * torch.randn(clean.shape), 0.0, 1.0)
        output = model(noisy)
        assert output.shape == clean.shape
        loss = criterion(output, clean)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step(loss.item())
        losses.append(loss.item())
        print(f"step {step}: loss {loss.item():.4f}, lr {optimizer.param_groups[0]['lr']:.0e}")
    return losses
