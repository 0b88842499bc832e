"""Wasserstein GAN with gradient penalty: the loss contains a gradient."""

import torch
import torch.nn as nn
from torch.autograd import grad

latent_dim = 4
lambda_gp = 10
n_critic = 2


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(
            nn.Linear(latent_dim, 16),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(16, 36),
            nn.Tanh(),
        )

    def forward(self, z):
        img = self.model(z)
        return img.view(img.shape[0], 1, 6, 6)


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, stride=1, padding=1, bias=False)
        self.norm = nn.InstanceNorm2d(8, affine=True)
        self.fc = nn.Linear(8 * 6 * 6, 1)

    def forward(self, img):
        x = nn.functional.leaky_relu(self.norm(self.conv(img)), 0.2)
        return self.fc(x.view(x.size(0), -1))


def compute_gradient_penalty(critic, real_samples, fake_samples):
    alpha = torch.rand(real_samples.size(0), 1, 1, 1)
    interpolates = (alpha * real_samples + (1 - alpha) * fake_samples).requires_grad_(True)
    d_interpolates = critic(interpolates)
    fake = torch.ones(real_samples.shape[0], 1, requires_grad=False)
    gradients = grad(
        outputs=d_interpolates,
        inputs=interpolates,
        grad_outputs=fake,
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


def build():
    return {"generator": Generator(), "critic": Critic()}


def train(modules, steps):
    generator, critic = modules["generator"], modules["critic"]
    optimizer_G = torch.optim.Adam(generator.parameters(), lr=0.0002, betas=(0.0, 0.9))
    optimizer_D = torch.optim.Adam(critic.parameters(), lr=0.0002, betas=(0.0, 0.9))

    losses = []
    for i in range(steps):
        real_imgs = torch.rand(8, 1, 6, 6) * 2 - 1
        optimizer_D.zero_grad()
        z = torch.randn(real_imgs.shape[0], latent_dim)
        fake_imgs = generator(z)
        real_validity = critic(real_imgs)
        fake_validity = critic(fake_imgs)
        gradient_penalty = compute_gradient_penalty(critic, real_imgs.data, fake_imgs.data)
        d_loss = (
            -torch.mean(real_validity) + torch.mean(fake_validity) + lambda_gp * gradient_penalty
        )
        d_loss.backward()
        optimizer_D.step()
        losses.append(d_loss.item())

        optimizer_G.zero_grad()
        if i % n_critic == 0:
            fake_imgs = generator(z)
            g_loss = -torch.mean(critic(fake_imgs))
            g_loss.backward()
            optimizer_G.step()
            losses.append(g_loss.item())
            print(f"[Batch {i}/{steps}] [D loss: {d_loss.item():f}] [G loss: {g_loss.item():f}]")
    return losses
