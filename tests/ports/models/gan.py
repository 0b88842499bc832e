"""Generative adversarial network on points of a Gaussian."""

import torch
import torch.nn as nn
import torch.optim as optim

latent_dim = 4


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(
            nn.Linear(latent_dim, 16, bias=False),
            nn.BatchNorm1d(16),
            nn.ReLU(True),
            nn.Linear(16, 2),
        )

    def forward(self, z):
        return self.model(z)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(
            nn.Linear(2, 16),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Dropout(0.3),
            nn.Linear(16, 1),
            nn.Sigmoid(),
        )

    def forward(self, x):
        return self.model(x).squeeze(1)


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Linear") != -1:
        nn.init.normal_(m.weight.data, 0.0, 0.2)
    elif classname.find("BatchNorm") != -1:
        nn.init.normal_(m.weight.data, 1.0, 0.02)
        nn.init.constant_(m.bias.data, 0)


def build():
    netG, netD = Generator(), Discriminator()
    netG.apply(weights_init)
    netD.apply(weights_init)
    return {"netG": netG, "netD": netD}


def train(modules, steps):
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    netG, netD = modules["netG"].to(device), modules["netD"].to(device)
    criterion = nn.BCELoss()
    optimizerD = optim.Adam(netD.parameters(), lr=0.002, betas=(0.5, 0.999))
    optimizerG = optim.Adam(netG.parameters(), lr=0.002, betas=(0.5, 0.999))
    real_label, fake_label = 1.0, 0.0
    fixed_noise = torch.randn(8, latent_dim, device=device)

    losses = []
    for i in range(steps):
        # Update D: maximize log(D(x)) + log(1 - D(G(z))).
        netD.zero_grad()
        real = torch.randn(16, 2, device=device) * 0.5 + torch.tensor([2.0, -1.0], device=device)
        b_size = real.size(0)
        label = torch.full((b_size,), real_label, dtype=torch.float, device=device)
        output = netD(real).view(-1)
        errD_real = criterion(output, label)
        errD_real.backward()
        D_x = output.mean().item()

        noise = torch.randn(b_size, latent_dim, device=device)
        fake = netG(noise)
        label.fill_(fake_label)
        output = netD(fake.detach()).view(-1)
        errD_fake = criterion(output, label)
        errD_fake.backward()
        errD = errD_real + errD_fake
        optimizerD.step()

        # Update G: maximize log(D(G(z))).
        netG.zero_grad()
        label.fill_(real_label)
        output = netD(fake).view(-1)
        errG = criterion(output, label)
        errG.backward()
        optimizerG.step()

        losses += [errD.item(), errG.item(), D_x]
        if i % 10 == 0:
            print("[%d] Loss_D: %.4f\tLoss_G: %.4f" % (i, errD.item(), errG.item()))
            netG.eval()
            with torch.no_grad():
                losses.append(netG(fixed_noise).detach().cpu().mean().item())
            netG.train()
    return losses
