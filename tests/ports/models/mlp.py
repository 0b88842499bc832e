"""Multilayer perceptron with mean squared error on two moons."""

import torch
import torch.nn as nn
import torch.optim as optim
from sklearn.datasets import make_moons
from torch.utils.data import DataLoader, TensorDataset

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class MLP(nn.Module):
    def __init__(self, in_features, hidden, out_features):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(in_features, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.Tanh(),
            nn.Linear(hidden, out_features),
        )

    def forward(self, x):
        return self.layers(x)


def build():
    return {"model": MLP(2, 16, 1)}


def train(modules, steps):
    model = modules["model"].to(device)
    X, y = make_moons(n_samples=160, noise=0.1, random_state=0)
    X = torch.tensor(X, dtype=torch.float32)
    y = torch.tensor(y, dtype=torch.float32).unsqueeze(1)
    train_loader = DataLoader(TensorDataset(X, y), batch_size=32, shuffle=True)

    criterion = nn.MSELoss()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)

    losses = []
    for epoch in range(steps // len(train_loader)):
        model.train()
        running_loss = 0.0
        for inputs, targets in train_loader:
            inputs, targets = inputs.to(device), targets.to(device)
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = criterion(outputs, targets)
            loss.backward()
            optimizer.step()
            running_loss += loss.item() * inputs.size(0)
            losses.append(loss.item())

        model.eval()
        with torch.no_grad():
            predicted = (model(X.to(device)) > 0.5).float()
            accuracy = (predicted == y.to(device)).float().mean().item()
        print(f"epoch {epoch + 1}: loss {running_loss / len(X):.4f}, accuracy {accuracy:.1%}")
        losses.append(accuracy)
    return losses
