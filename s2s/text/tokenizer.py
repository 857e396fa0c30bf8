"""temporary"""
import io
from collections.abc import Iterable
from s2s.files import digest_bytes
PAD, UNK, BOS, EOS = 0, 1, 2, 3
class Tokenizer:
    def __init__(self, model: bytes) -> None:
        import sentencepiece as spm
        self.model = model
        self.digest = digest_bytes(model)
        self._sp = spm.SentencePieceProcessor(model_proto=model)
        self.size = self._sp.vocab_size()
    def encode(self, texts): return self._sp.encode(list(texts))
    def decode(self, ids): return self._sp.decode([list(i) for i in ids]) if ids else []
    def pieces(self, ids): return [self._sp.id_to_piece(i) for i in ids]
def train_tokenizer(texts, options, *, threads: int = 2) -> bytes:
    import sentencepiece as spm
    out = io.BytesIO()
    bf = options.vocabulary >= 2000
    spm.SentencePieceTrainer.train(sentence_iterator=iter(texts), model_writer=out, vocab_size=options.vocabulary, model_type=options.algorithm, character_coverage=options.character_coverage, byte_fallback=bf, normalization_rule_name="identity", pad_id=0, unk_id=1, bos_id=2, eos_id=3, num_threads=threads, minloglevel=2)
    return out.getvalue()
