"""Convolutional network in the style of VGG, with batch norm and dropout."""

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

cfg = [8, "M", 16, 16, "M"]


class VGG(nn.Module):
    def __init__(self, cfg, num_classes=10, init_weights=True):
        super().__init__()
        self.features = self._make_layers(cfg)
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(
            nn.Linear(16 * 2 * 2, 32),
            nn.ReLU(True),
            nn.Dropout(),
            nn.Linear(32, num_classes),
        )
        if init_weights:
            self._initialize_weights()

    def forward(self, x):
        x = self.features(x)
        x = self.avgpool(x)
        x = torch.flatten(x, 1)
        return self.classifier(x)

    def _make_layers(self, cfg):
        layers = []
        in_channels = 3
        for v in cfg:
            if v == "M":
                layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
            else:
                conv2d = nn.Conv2d(in_channels, v, kernel_size=3, padding=1)
                layers += [conv2d, nn.BatchNorm2d(v), nn.ReLU(inplace=True)]
                in_channels = v
        return nn.Sequential(*layers)

    def _initialize_weights(self):
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
                if m.bias is not None:
                    nn.init.constant_(m.bias, 0)
            elif isinstance(m, nn.BatchNorm2d):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)
            elif isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, 0, 0.01)
                nn.init.constant_(m.bias, 0)


def build():
    return {"model": VGG(cfg)}


def train(modules, steps):
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = modules["model"].to(device)
    num_params = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(f"{num_params:,} parameters")

    dataset = TensorDataset(torch.randn(40, 3, 16, 16), torch.randint(0, 10, (40,)))
    loader = DataLoader(dataset, batch_size=10, shuffle=True, drop_last=True)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1).to(device)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5)

    losses = []
    for epoch in range(steps // len(loader)):
        model.train()
        for i, (images, labels) in enumerate(loader):
            images = images.to(device)
            labels = labels.to(device)
            outputs = model(images)
            loss = criterion(outputs, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if (i + 1) % 2 == 0:
                print(f"epoch {epoch + 1}, step {i + 1}/{len(loader)}, loss {loss.item():.4f}")
        scheduler.step()

        model.eval()
        with torch.no_grad():
            val_loss = sum(criterion(model(x.to(device)), y.to(device)) for x, y in loader)
        losses.append(val_loss.item())
    return losses
