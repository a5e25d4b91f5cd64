# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # STR in your own SLAYER script
#
# You have a network of stock `lava.lib.dl.slayer` blocks and a training loop of your own. Five lines add the
# Spatial-Temporal Regulariser (STR); each is marked with `# STR`. The file that your own `export_hdf5` writes then goes
# through the toolchain as it is: verify, calibrate, evaluate, deploy.
#
# The network is that of lava-dl's N-MNIST tutorial, dense 34·34·2-512-512-10. Set `AOI_DATA_DIR` to a folder of N-MNIST
# recordings, `Train/<label>/*.bin`; 700 of them and two minutes on one core are enough.

# %%
import os
from pathlib import Path

import h5py
import torch
from torch.nn.functional import pad

import aoi
from aoi.compat import enable_slayer
from aoi.events.encoding import Encoding
from aoi.events.opening import open_dataset
from aoi.events.spikes import load_spikes
from aoi.events.splits import SplitOptions, split_indices
from aoi.experiment.augment import AugmentConfig
from aoi_models.losses import tet_loss  # STR 1
from aoi_models.regularisers import observe, str_penalty  # STR 2
from aoi_models.training.augment import augment

enable_slayer()  # lava-dl 0.6.0 asks for Python 3.10; this lets it be imported on later ones
import lava.lib.dl.slayer as slayer  # noqa: E402

DATA = os.environ["AOI_DATA_DIR"]
FILE = Path("own_network.net")
EPOCHS, BATCH, LEARNING_RATE = 20, 16, 0.006
torch.manual_seed(0)
torch.set_num_threads(1)  # SLAYER walks the time axis step by step: more threads are rarely faster

# %% [markdown]
# ## Recordings
#
# 300 ms of events become T = 30 steps of 10 ms, spikes of shape (N, 2, 34, 34, 30). A seeded hash of each recording's
# name divides them: `train` trains, `calibration` chooses the threshold, and `validation`, which this script chooses
# nothing on, reports.

# %%
dataset = open_dataset(DATA)
encoding = Encoding(sensor_size=(34, 34, 2), window_us=300_000, bins=30)
splits = split_indices(dataset, SplitOptions())


def load(split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Spikes uint8 (N, C, H, W, T) and labels int64 (N,)."""
    data = load_spikes(dataset, splits[split], encoding)
    return torch.from_numpy(data.batch(range(len(data)))), torch.from_numpy(data.labels)


train_spikes, train_labels = load("train")
held_out_spikes, held_out_labels = load("validation")
print(len(train_labels), "recordings to train on,", len(held_out_labels), "held out")

# %% [markdown]
# ## Network
#
# As in lava-dl's tutorial, but for two things.
#
# - Each block hands its spikes on a step late, as the chip does. The input is padded by a step a block and the empty
#   steps of the output are cut off, so that output step t answers input step t and none of the T steps is lost.
# - `delay=True` is left out. Axonal delays are exact too, but those that SLAYER draws lie below one step, and in a
#   training as short as this they stay there: the chip rounds them down to none. And Lava's own model of a layer with
#   delays takes minutes for a recording at 2,312 inputs.
#
# Weight norm, dropout and trained decays may stay: the export writes the weights and decays that they come to.


# %%
class Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        neuron = {
            "threshold": 1.25,
            "current_decay": 0.25,
            "voltage_decay": 0.03,
            "tau_grad": 0.03,
            "scale_grad": 3,
            "requires_grad": True,
        }
        dropped = {**neuron, "dropout": slayer.neuron.Dropout(p=0.05)}
        self.blocks = torch.nn.ModuleList(
            [
                slayer.block.cuba.Dense(dropped, 34 * 34 * 2, 512, weight_norm=True),
                slayer.block.cuba.Dense(dropped, 512, 512, weight_norm=True),
                slayer.block.cuba.Dense(neuron, 512, 10, weight_norm=True),
            ]
        )

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        """Spikes (N, 2, 34, 34, T) → output spikes (N, 10, T)."""
        late = len(self.blocks)
        spikes = pad(spikes.flatten(1, -2), (0, late))
        for block in self.blocks:
            spikes = block(spikes)
        return spikes[..., late:]

    def export_hdf5(self, path: Path) -> None:
        with h5py.File(path, "w") as file:
            layer = file.create_group("layer")
            for index, block in enumerate(self.blocks):
                block.export_hdf5(layer.create_group(str(index)))


# %% [markdown]
# ## Training
#
# A plain loop. `observe` records what each block does in the forward pass. The loss is TET's cross entropy on the
# running spike count at every step, so that each step learns to be right; STR keeps the layers that are right at T from
# spending all their spikes at once. `aligned` are the hidden layers without the steps before their first input.


# %%
MOTION = AugmentConfig(shift=2, rotate=15, scale=0.15, shear=0.15)  # pixels, degrees, shares: few recordings go further
generator = torch.Generator().manual_seed(0)

net = Network()
optimiser = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
batches = -(-len(train_labels) // BATCH)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=EPOCHS * batches)
for epoch in range(EPOCHS):
    right = 0
    for chosen in torch.randperm(len(train_labels)).split(BATCH):
        spikes, labels = augment(train_spikes[chosen].float(), MOTION, generator), train_labels[chosen]
        with observe(net) as layers:  # STR 3
            scores = net(spikes).cumsum(-1)
        correct = scores.argmax(1) == labels[:, None]  # STR 4
        loss = tet_loss(scores, labels, gain=0.4) + 0.5 * str_penalty(layers.aligned, correct)  # STR 5
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        right += int((scores[..., -1].argmax(1) == labels).sum())
    print(f"epoch {epoch + 1} of {EPOCHS}: {right / len(train_labels):.3f} right at T in training", flush=True)

# %%
net.eval()
with torch.no_grad():
    scores = torch.cat([net(some.float()).cumsum(-1) for some in held_out_spikes.split(64)])
accuracy_over_time = (scores.argmax(1) == held_out_labels[:, None]).float().mean(0)
print("held out, accuracy after 5, 10, 20 and 30 steps:", [f"{accuracy_over_time[t - 1]:.3f}" for t in (5, 10, 20, 30)])

# %% [markdown]
# ## Export, and the same spikes everywhere
#
# First your own module against the engine that everything below runs on: every spike of every layer. Then the engine
# against Lava and against SLAYER's blocks built anew from the file: currents, voltages and spikes.

# %%
net.export_hdf5(FILE)
file = aoi.load(FILE)
some = held_out_spikes[:32]
with torch.no_grad(), observe(net) as layers:
    output = net(some.float())
of_module = [layer.activity.spikes for layer in layers.aligned] + [output]
of_engine = aoi.Engine(file).run(some.flatten(1, -2).numpy(), return_traces=True).traces
different = [int(((mine > 0).numpy() != trace.s).sum()) for mine, trace in zip(of_module, of_engine, strict=True)]
print("spikes of each layer that differ between this module and the engine:", different)

# %% [markdown]
# The file of a plain `export_hdf5` does not say how events become its input, so `open_data` is told once.

# %%
calibration = aoi.open_data(DATA, file, split="calibration", window_us=300_000, bins=30)
verified = aoi.verify(file, calibration, samples=2)
print(verified)

# %% [markdown]
# ## Calibrate, evaluate, deploy
#
# `calibrate` fits the confidence and the threshold at which a run may stop, and writes them into the file, together
# with encoding, classes and the source of the recordings: nothing has to be said again. `deploy` runs Lava processes
# with the monitor that stops each recording.

# %%
calibrated = aoi.calibrate(file, calibration, max_drop=0.02)
print(calibrated)

# %%
file = aoi.load(FILE)
held_out = aoi.open_data(None, file, split="validation")
evaluated = aoi.evaluate(file, held_out)
print(evaluated)
evaluated.plot()

# %%
few = held_out.subset(range(50))
with aoi.deploy(file) as session:
    answers = list(session.run(few))
right = [answer.prediction == few.labels[answer.index] for answer in answers]
steps = [answer.decision_step for answer in answers]
print(f"in Lava: {sum(right) / len(right):.3f} after {sum(steps) / len(steps):.1f} steps, {len(answers)} recordings")
