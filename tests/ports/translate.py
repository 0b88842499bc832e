"""Turn a PyTorch script into one for this package by changing its import lines."""

import ast

IMPORTS = {
    "import torch": "import tinygrad_np as torch",
    "import torch.nn as nn": "import tinygrad_np.nn as nn",
    "import torch.nn.functional as F": "import tinygrad_np.nn.functional as F",
    "import torch.optim as optim": "import tinygrad_np.optim as optim",
    "from torch import nn, optim": "from tinygrad_np import nn, optim",
    "from torch.autograd import grad": "from tinygrad_np.autograd import grad",
    "from torch.nn import functional as F": "from tinygrad_np.nn import functional as F",
    "from torch.optim.lr_scheduler import StepLR": (
        "from tinygrad_np.optim.lr_scheduler import StepLR"
    ),
    "from torch.utils.data import DataLoader": "from tinygrad_np.data import DataLoader",
    "from torch.utils.data import DataLoader, Dataset": (
        "from tinygrad_np.data import DataLoader, Dataset"
    ),
    "from torch.utils.data import DataLoader, TensorDataset": (
        "from tinygrad_np.data import DataLoader, TensorDataset"
    ),
}
"""Every import line of PyTorch in the models, and the line that replaces it."""

EXCEPTIONS = {
    "dqn": {
        "                return policy_net(state).max(1).indices.view(1, 1)": (
            "                return policy_net(state).argmax(1).view(1, 1)"
        ),
        "            next_state_values[non_final_mask] = "
        "target_net(non_final_next_states).max(1).values": (
            "            next_state_values[non_final_mask] = "
            "target_net(non_final_next_states).max(1)"
        ),
    },
    "wgan_gp": {
        "        gradient_penalty = "
        "compute_gradient_penalty(critic, real_imgs.data, fake_imgs.data)": (
            "        gradient_penalty = "
            "compute_gradient_penalty(critic, real_imgs.detach(), fake_imgs.detach())"
        ),
    },
    "transformer_encoder": {
        "        self.embedding.weight.data.uniform_(-initrange, initrange)": (
            "        nn.init.uniform_(self.embedding.weight, -initrange, initrange)"
        ),
        "        self.decoder.bias.data.zero_()": "        nn.init.zeros_(self.decoder.bias)",
        "        self.decoder.weight.data.uniform_(-initrange, initrange)": (
            "        nn.init.uniform_(self.decoder.weight, -initrange, initrange)"
        ),
    },
}
"""For each model, the other lines that must differ. README.md explains them."""


def translate(name: str, source: str) -> str:
    """Replace the lines of IMPORTS, and those of EXCEPTIONS for the model called `name`."""
    changes = IMPORTS | EXCEPTIONS.get(name, {})
    return "\n".join(changes.get(line, line) for line in source.split("\n"))


def imports_of(source: str) -> set[str]:
    """Return the names of the imported top-level modules."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def without_imports(source: str) -> str:
    """Return a dump of everything in `source` but its import statements."""
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    return ast.dump(tree)
