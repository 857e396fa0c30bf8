"""The tokenizer: convert raw text to token ids and back with SentencePiece.

The model has no normalizer of its own (see `lines.normalize`), so decoding an encoded text returns the same text,
except that leading and trailing spaces are removed, several spaces (U+0020) become one, `▁` (U+2581, SentencePiece's
mark of a space) becomes a space, and, without byte fallback, a run of unknown characters becomes `⁇`. Text that spells
a special token, such as `</s>`, is never encoded as that token. A user symbol is one token wherever it occurs.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from s2s.errors import ArtefactError
from s2s.io.digests import digest_bytes
from s2s.text.sentencepiece_model import user_symbol_ids
from s2s.text.user_symbols import UserSymbols

if TYPE_CHECKING:
    from s2s.text.subword_regularization import BPESampler, UnigramSampler

PAD, UNK, BOS, EOS = 0, 1, 2, 3
BYTE = "<0x"  # what the tokens of single bytes start with: <0x41>


class Tokenizer:
    """A trained SentencePiece model.

    `model` holds its bytes, `digest` their sha256, `size` the vocabulary size including special tokens, `user_tokens`
    the ids of user symbols, `fallback_tokens` those of UNK and byte tokens.
    """

    def __init__(self, model: bytes) -> None:
        """Load a model. Raises ArtefactError if it is not one, or has other ids for the special tokens."""
        from sentencepiece import SentencePieceProcessor

        self._processor: Any = SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
        except RuntimeError as error:
            raise ArtefactError("the tokenizer is damaged: not a SentencePiece model") from error
        specials = tuple(getattr(self._processor, name)() for name in ("pad_id", "unk_id", "bos_id", "eos_id"))
        if specials != (PAD, UNK, BOS, EOS):
            raise ArtefactError(
                f"the tokenizer's ids of padding, unknown, BOS and EOS are {specials}, expected {(PAD, UNK, BOS, EOS)}",
                "train one with s2s tokenizer train",
            )
        self.model = model
        self.digest = digest_bytes(model)
        self.size: int = self._processor.vocab_size()
        try:
            self._tokens: list[str] = [self._processor.id_to_piece(token) for token in range(self.size)]
        except UnicodeDecodeError as error:
            raise ArtefactError("the tokenizer is damaged: a token is not UTF-8") from error
        self._symbols = UserSymbols(model, {self._tokens[token]: token for token in user_symbol_ids(model)})
        self.user_tokens = frozenset(self._symbols.tokens.values())
        named = (token for token, text in enumerate(self._tokens) if text.startswith(BYTE))
        self.fallback_tokens = frozenset({UNK, *(token for token in named if self._processor.is_byte(token))})

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, without BOS and EOS. Callers normalize the texts."""
        rows: list[list[int]] = self._processor.encode(list(texts), num_threads=1)
        if self._symbols.tokens:
            for row, text in enumerate(texts):
                if self._symbols.occur_in(text):
                    rows[row] = self._symbols.encode(text)
        return rows

    def unigram_sampler(self, alpha: float) -> "UnigramSampler":
        """Return a sampler of a unigram model's segmentations."""
        from s2s.text.subword_regularization import UnigramSampler

        return UnigramSampler(self._symbols, alpha)

    def bpe_sampler(self, dropout: float) -> "BPESampler":
        """Return a sampler of a BPE model's segmentations."""
        from s2s.text.subword_regularization import BPESampler

        return BPESampler(self._symbols, dropout)

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Decode rows of token ids; PAD, BOS and EOS are omitted, UNK becomes `⁇`."""
        rows = [list(row) for row in ids]
        return self._processor.decode(rows, num_threads=1) if rows else []  # SentencePiece decodes no rows to one text

    def unknown(self, ids: Sequence[int]) -> int:
        """Return the number of UNK and byte tokens."""
        return sum(token in self.fallback_tokens for token in ids)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Return the tokens as strings, with `▁` for a space."""
        return [self._tokens[token] for token in ids]

    def characters(self) -> frozenset[str]:
        """Return the characters of the vocabulary: the others become bytes or UNK. A space is `▁`."""
        special = self.fallback_tokens | {PAD, BOS, EOS}
        return frozenset("".join(text for token, text in enumerate(self._tokens) if token not in special))
