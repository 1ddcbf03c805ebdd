"""The model: Whisper's architecture, small, with a CTC head and two guided attention heads during training.

The export contains only `Whisper`. The CTC head makes the encoder's output useful before the decoder can use
it: without it the cross-attention did not start in 2,400 steps. The guided heads attend to the word that is
being written, so that CTranslate2's `align` can compute its time.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.clips import MEL_BANDS

GUIDED_HEADS = ((1, 0), (2, 0))
"""(decoder layer, head) that are trained to attend to the word being written."""
ALIGNMENT_HEADS = ((2, 0),)
"""The heads that CTranslate2 uses for alignment. Of 190 word starts, 95 % were within 82 ms with this head,
108 ms with (1, 0), and 400 ms with all heads of both layers.
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of the model: 4.6 million parameters with a vocabulary of 2,500."""

    width: int = 192
    heads: int = 4
    encoder_layers: int = 4
    decoder_layers: int = 3
    audio_positions: int = 1_500
    text_positions: int = 448


def sinusoids(length: int, width: int) -> Tensor:
    """Whisper's encoder positions."""
    scales = np.exp(-np.log(10_000) / (width // 2 - 1) * np.arange(width // 2))
    angles = np.arange(length)[:, None] * scales[None]
    return torch.tensor(np.concatenate([np.sin(angles), np.cos(angles)], 1), dtype=torch.float32)


class Norm(nn.LayerNorm):
    """Layer norm that converts its output once for all following products, instead of once for each."""

    def forward(self, x: Tensor) -> Tensor:
        normal = super().forward(x)
        return normal.to(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else normal


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(
        self, x: Tensor, context: Tensor, causal: bool = False, guided: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the result and, for the head `guided`, its attention logits (rows, tokens, positions)."""
        query, key, value = (
            self._split(part) for part in (self.query(x), self.key(context), self.value(context))
        )
        # Written out, because the backward pass of the fused attention took a quarter of a step on a CPU.
        logits = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
        if causal:
            future = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
            logits = logits.masked_fill(future, -torch.inf)
        mixed = torch.softmax(logits, -1).to(value.dtype) @ value
        return self.out(mixed.transpose(1, 2).flatten(2)), x.new_zeros(()) if guided is None else logits[
            :, guided
        ]

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class Layer(nn.Module):
    """One pre-norm transformer layer; with cross-attention in the decoder."""

    def __init__(self, shape: Shape, cross: bool) -> None:
        super().__init__()
        width = shape.width
        self.attention_norm, self.attention = Norm(width), Attention(width, shape.heads)
        if cross:
            self.cross_norm, self.cross = Norm(width), Attention(width, shape.heads)
        self.mlp_norm, self.expand, self.contract = (
            Norm(width),
            nn.Linear(width, 4 * width),
            nn.Linear(4 * width, width),
        )

    def forward(
        self, x: Tensor, audio: Tensor | None = None, guided: int | None = None
    ) -> tuple[Tensor, Tensor]:
        normal, logits = self.attention_norm(x), x.new_zeros(())
        x = x + self.attention(normal, normal, causal=audio is not None)[0]
        if audio is not None:
            mixed, logits = self.cross(self.cross_norm(x), audio, guided=guided)
            x = x + mixed
        return x + self.contract(F.gelu(self.expand(self.mlp_norm(x)))), logits


class Whisper(nn.Module):
    def __init__(self, shape: Shape, tokens: int, first_stamp: int) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.conv1 = nn.Conv1d(MEL_BANDS, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.register_buffer("audio_positions", sinusoids(shape.audio_positions, width))
        self.encoder = nn.ModuleList(Layer(shape, cross=False) for _ in range(shape.encoder_layers))
        self.encoder_norm = Norm(width)
        self.tokens = nn.Embedding(tokens, width)
        self.text_positions = nn.Parameter(torch.empty(shape.text_positions, width).normal_(0, 0.02))
        self.decoder = nn.ModuleList(Layer(shape, cross=True) for _ in range(shape.decoder_layers))
        self.decoder_norm = Norm(width)
        nn.init.normal_(self.tokens.weight, 0, 0.05)
        # start with similar vectors for near times: each timestamp is too rare to learn alone
        with torch.no_grad():
            self.tokens.weight[first_stamp:] = sinusoids(tokens - first_stamp, width) * 0.07

    def encode(self, mel: Tensor, offsets: Tensor) -> Tensor:
        """mel: (rows, 80, frames); offsets: (rows,) position of the first frame pair in the 30 s window."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)
        positions = offsets[:, None] + torch.arange(x.shape[1])
        x = x + self.audio_positions[positions]
        for layer in self.encoder:
            x = layer(x)[0]
        return self.encoder_norm(x)

    def decode(self, inputs: Tensor, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the logits of the next tokens and the attention logits of the guided heads."""
        x, guided, heads = (
            self.tokens(inputs) + self.text_positions[: inputs.shape[1]],
            [],
            dict(GUIDED_HEADS),
        )
        for number, layer in enumerate(self.decoder):
            x, logits = layer(x, audio, heads.get(number))
            if number in heads:
                guided.append(logits)
        return F.linear(self.decoder_norm(x), self.tokens.weight), guided


class Learner(nn.Module):
    """The model and the parts that only training needs."""

    def __init__(self, shape: Shape, tokens: int, first_stamp: int, characters: int) -> None:
        super().__init__()
        self.whisper = Whisper(shape, tokens, first_stamp)
        self.ctc = nn.Linear(shape.width, characters + 1)

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the losses of the text, the CTC head and the guided attention, in nats per token or
        character.
        """
        audio = self.whisper.encode(batch["mel"], batch["offsets"])
        logits, guided = self.whisper.decode(batch["inputs"], audio)
        text = F.cross_entropy(logits.float().flatten(0, 1), batch["labels"].flatten(), ignore_index=-100)
        return text, self._ctc_loss(audio, batch), _guidance_loss(guided, batch["spans"])

    def _ctc_loss(self, audio: Tensor, batch: dict[str, Tensor]) -> Tensor:
        counts = batch["character_counts"]
        scores = F.log_softmax(self.ctc(audio).float(), -1).transpose(0, 1)
        lengths = torch.full((len(counts),), scores.shape[0])
        loss = F.ctc_loss(scores, batch["characters"], lengths, counts, reduction="none", zero_infinity=True)
        return loss.sum() / (counts.sum() + len(counts))


def _guidance_loss(guided: list[Tensor], spans: Tensor) -> Tensor:
    """Cross-entropy between the guided heads and uniform attention over the span of the token's audio."""
    first, last = spans[..., 0], spans[..., 1]
    known = last > first
    frames = torch.arange(guided[0].shape[-1], dtype=torch.int32)
    inside = (frames >= first[..., None]) & (frames < last[..., None])
    width = (last - first).clamp(min=1)
    loss = torch.zeros(())
    for logits in guided:
        scores = F.log_softmax(logits.float(), -1)
        each = -(scores * inside).sum(-1) / width - width.float().log()
        loss = loss + (each * known).sum() / known.sum().clamp(min=1)
    return loss / len(guided)
