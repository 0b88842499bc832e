"""Siamese network with triplet loss and pairwise distances."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class TripletDataset(Dataset):
    def __init__(self, data, labels):
        self.data = data
        self.labels = labels

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        anchor, label = self.data[index], self.labels[index]
        positives = torch.nonzero(self.labels == label).flatten()
        negatives = torch.nonzero(self.labels != label).flatten()
        positive = self.data[positives[(index + 1) % len(positives)]]
        negative = self.data[negatives[index % len(negatives)]]
        return anchor, positive, negative


class SiameseNetwork(nn.Module):
    def __init__(self, embedding_dim=8):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(1, 4, kernel_size=3, padding=1),
            nn.BatchNorm1d(4),
            nn.PReLU(),
            nn.MaxPool1d(2),
        )
        self.fc = nn.Sequential(nn.Linear(4 * 8, 16), nn.ELU(), nn.Linear(16, embedding_dim))

    def forward_once(self, x):
        x = self.conv(x)
        x = x.reshape(x.size(0), -1)
        return F.normalize(self.fc(x), p=2, dim=1)

    def forward(self, anchor, positive, negative):
        return self.forward_once(anchor), self.forward_once(positive), self.forward_once(negative)


def build():
    return {"model": SiameseNetwork()}


def train(modules, steps):
    model = modules["model"]
    labels = torch.arange(24) % 3
    signals = torch.randn(24, 1, 16) + labels.view(-1, 1, 1).float()
    loader = DataLoader(TripletDataset(signals, labels), batch_size=6, shuffle=True)
    criterion = nn.TripletMarginLoss(margin=1.0, p=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    losses = []
    for epoch in range(steps // len(loader)):
        for anchor, positive, negative in loader:
            optimizer.zero_grad()
            a, p, n = model(anchor, positive, negative)
            loss = criterion(a, p, n)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        with torch.no_grad():
            distance = F.pairwise_distance(a, n)
            similarity = F.cosine_similarity(a, p)
        print(f"epoch {epoch}: distance {distance.mean():.3f}, cosine {similarity.mean():.3f}")
        losses += [distance.mean().item(), similarity.mean().item()]
    return losses
