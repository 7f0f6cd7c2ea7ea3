"""What to do about operations that have no rule, by a part of their names."""

from __future__ import annotations

from spikewright.graph.offenders import register_remedies

_QCFS = (
    "a quantised clipped ReLU written out by hand, such as "
    "floor(clamp(x / up, 0, 1) * L + 0.5) / L * up, is spikewright.QCFS(L, up): put that module in "
    "its place; otherwise take the rounding out"
)
_ORDER = (
    "order and places of values are no numbers that spikes carry: do it to the network's answer, "
    "outside the model, and convert the part before it"
)
_MARKS = (
    "its places may choose by gather or scatter along their own dimension, as in "
    "zeros.scatter(-1, places, values), which weighs all experts; otherwise do it to the network's "
    "answer, outside the model, and convert the part before it"
)
_CHANCE = (
    "a converted network answers alike every time: draw outside the model and give the draw as an "
    "input, or leave it out in eval mode"
)
_COUNT = (
    "of order 0 it counts the values other than 0, which jumps where spikes round: choose another "
    "order, or count in the network's answer, outside the model"
)
_WHOLE = (
    "it takes all dimensions, the batch among them; name those of one sample, as in "
    "x.mean((1, 2, 3)) or x.flatten(1).mean(1)"
)
_MATRICES = (
    "a decomposition of a matrix that depends on the input has no spiking form; do it outside the "
    "model, on its input or its answer"
)
_REGIONS = (
    "it picks boxes by their values: convert the part of the model before it, and run it on the "
    "network's answer"
)
_POINTS = (
    "it reads a plane at points that a network computes, which is no product of signals; no "
    "spiking form is known: put nn.Conv2d in its place and train anew, or convert the part before"
)
_FOURIER = "give it a constant size; it is a product with constants then"
_SO_FAR = "write it with torch.cumsum, or as one step for each place (x.unbind(1))"

_COMPLEX = (
    "a spike train is real: keep real and imaginary parts as two values (sums, products, Fourier "
    "transforms and magnitudes of complex values are written out so, angles are not)"
)

_NAMES = {
    _CHANCE: """bernoulli rand randn rand_like randn_like randint randperm normal uniform
        multinomial exponential fractional_max_pool""",
    _QCFS: "floor round ceil trunc frac remainder fmod",
    _MARKS: "topk",
    _ORDER: """argmax argmin sort argsort median nanmedian mode unique kthvalue nonzero
        searchsorted bucketize histc one_hot cummax cummin isin""",
    _COUNT: "linalg_vector_norm norm cdist",
    _WHOLE: """mean.default sum.default max.default min.default std.default var.default
        prod.default any all""",
    _MATRICES: """linalg_inv linalg_det linalg_svd linalg_qr linalg_eig linalg_cholesky
        linalg_solve linalg_lu linalg_pinv linalg_matrix_exp slogdet cholesky inverse""",
    _REGIONS: "nms roi_align roi_pool",
    _POINTS: "deform_conv2d",
    _FOURIER: "fft_fft fft_ifft fft_rfft fft_irfft fft_hfft stft istft fft_r2c fft_c2c fft_c2r",
    _COMPLEX: "complex polar view_as_complex view_as_real angle",
    _SO_FAR: "cumprod logcumsumexp",
    "dropout that stays on in eval mode; pass training=self.training": "native_dropout",
    "write it as slices, x.unfold, or reshape, which keep the batch apart": "as_strided",
    "it is a function of two signals that no product makes; convert the part before it": "atan2",
}

register_remedies({name: remedy for remedy, names in _NAMES.items() for name in names.split()})
