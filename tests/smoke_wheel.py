"""Run with an installed wheel, outside the checkout: trains, saves, loads, writes a graph."""

import tempfile
from pathlib import Path

import tinygrad_np
from models import DigitsCNN
from tinygrad_np import data, optim, train, viz

print("tinygrad_np", tinygrad_np.__version__, "from", Path(tinygrad_np.__file__).parent)
tinygrad_np.manual_seed(0)
train_set, test_set = data.digits()
model = DigitsCNN()
optimizer = optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    for images, labels in data.DataLoader(train_set, batch_size=64, shuffle=True, seed=0):
        optimizer.zero_grad()
        model(images).cross_entropy(labels).backward()
        optimizer.step()
images, labels = next(iter(data.DataLoader(test_set, batch_size=len(test_set))))
accuracy = train.accuracy(model(images), labels)
print(f"digits: {accuracy:.3f} of {len(test_set)} test images")
if accuracy < 0.8:
    raise SystemExit("the digits network has not learned")
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "model.safetensors"
    train.save(path, model.state_dict())
    DigitsCNN().load_state_dict(train.load(path))
print(len(viz.draw(model, images[:1]).source), "characters of graph")
