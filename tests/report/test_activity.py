"""The Spatial-Temporal Factor of the report is that of training."""

from __future__ import annotations

import numpy as np
import torch

from aoi.engine import LayerTrace
from aoi.netx.description import Cuba
from aoi.report.activity import spatial_temporal_factor
from aoi_models.blocks import LayerActivity
from aoi_models.regularisers import Hidden
from aoi_models.regularisers import spatial_temporal_factor as of_training


def test_equals_the_factor_of_training() -> None:
    generator = np.random.default_rng(1)
    threshold = 80
    v = generator.integers(-2 * threshold << 6, (2 * threshold) << 6, (3, 4, 5, 6, 7)).astype(np.int32)
    s = (generator.random(v.shape) < 0.2).astype(np.uint8)
    s[0], v[0] = 0, 0  # a silent sample
    found = spatial_temporal_factor(LayerTrace("1", v, v, s), Cuba(threshold, 0, 0))
    unit = float(threshold << 6)  # SLAYER's threshold of 1
    activity = LayerActivity(*(torch.from_numpy(each) for each in (v / unit, v / unit, s / 1.0, s / 1.0)))
    np.testing.assert_allclose(found, of_training(Hidden(activity, 1.0)).numpy(), rtol=1e-12)
    assert (found[0] == 0).all()
    assert 0 < found[1:].min() < found[1:].max() < 1
    per_channel = Cuba(np.full(4, threshold, np.int32), 0, 0)
    np.testing.assert_array_equal(found, spatial_temporal_factor(LayerTrace("1", v, v, s), per_channel))
