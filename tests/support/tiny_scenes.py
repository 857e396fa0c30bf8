"""Overrides that make `scenes/*` tiny; those of the recurrent decoders apart."""

TINY_SCENES = [
    "data.generator.train=60",
    "data.generator.validation=6",
    "data.generator.test=10",
    "data.generator.max_items=2",
    "tokenizer.algorithm=unigram",
    "tokenizer.vocab_size=30",
    "model.embedding_size=12",
    "model.encoder.channels=[6, 8]",
    "model.encoder.blocks=[0, 1]",
    "model.encoder.hidden_size=10",
    "model.encoder.grid=[4, 8]",
    "training.stop_after=9 updates",
    "training.validate_every=3 updates",
    "training.validation_lines=3",
    "training.batch_tokens=500",
    "training.warmup=2",
    "decoding.beam_size=2",
    "decoding.max_caption_length=12",
]
OWN_PICTURES = [  # in place of the generator: 40 pictures in `pictures/`, with two captions each
    "data.kind=images",
    "data.images=pictures",
    "data.train.files=pictures/several.tsv",
    "data.hold_out_validation=4",
    "data.hold_out_test=8",
    *(setting for setting in TINY_SCENES if not setting.startswith("data.")),
    "tokenizer.vocab_size=45",
]
RECURRENT = ["model.decoder.hidden_size=14", "model.decoder.attention_size=9"]
