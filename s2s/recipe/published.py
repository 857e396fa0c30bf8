"""Published facts about the systems whose recipes are in `recipes/scaling/`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """What the authors of a system say about it."""

    name: str  # of the system
    parameters: int
    context: int | None  # tokens of a training sequence; None: pairs of sentences
    text: str  # what it was trained on
    hardware: str  # what it was trained with, and for how long
    source: str  # of these facts


VASWANI = "Vaswani et al. 2017, table 3 and section 5"
DEVLIN = "Devlin et al. 2019, section 3 and appendix A.2; size of the text: Yang et al. 2019, arXiv:1906.08237v1"
RADFORD = "Radford et al. 2019, table 2 and section 2.1"
SHOEYBI = "Shoeybi et al. 2019, sections 4 and 5, tables 1 and 2"
WMT = "WMT 2014 English-German, 4.5 million sentence pairs"
BOOKS = "BooksCorpus and English Wikipedia, 13 GB"
WEBTEXT = "WebText, 40 GB"
MEGATRON_TEXT = "Wikipedia, CC-Stories, RealNews, OpenWebText, 174 GB"
NOT_PUBLISHED = "not published"

PUBLISHED = {  # by the recipe's name, in the order of the table
    "scaling-transformer-base": Published("Transformer base", 65_000_000, None, WMT, "8 P100 for 12 hours", VASWANI),
    "scaling-transformer-big": Published("Transformer big", 213_000_000, None, WMT, "8 P100 for 3.5 days", VASWANI),
    "scaling-bert-base": Published("BERT base", 110_000_000, 512, BOOKS, "16 TPU chips for 4 days", DEVLIN),
    "scaling-bert-large": Published("BERT large", 340_000_000, 512, BOOKS, "64 TPU chips for 4 days", DEVLIN),
    "scaling-xlnet-large": Published(
        "XLNet large",
        340_000_000,
        512,
        "BooksCorpus, Wikipedia, Giga5, ClueWeb, Common Crawl, 126 GB",
        "512 TPU v3 chips for 2.5 days; 5.5 days in the later version",
        "Yang et al. 2019, arXiv:1906.08237v1 and NeurIPS; it names BERT large's size",
    ),
    "scaling-roberta-large": Published(
        "RoBERTa large",
        355_000_000,
        512,
        "BookCorpus, Wikipedia, CC-News, OpenWebText, Stories, 160 GB",
        "1,024 V100 for about a day",
        "Liu et al. 2019, sections 3.2 and 5",
    ),
    "scaling-gpt2-small": Published("GPT-2 small", 117_000_000, 1024, WEBTEXT, NOT_PUBLISHED, RADFORD),
    "scaling-gpt2-medium": Published("GPT-2 medium", 345_000_000, 1024, WEBTEXT, NOT_PUBLISHED, RADFORD),
    "scaling-gpt2-large": Published("GPT-2 large", 762_000_000, 1024, WEBTEXT, NOT_PUBLISHED, RADFORD),
    "scaling-gpt2-xl": Published("GPT-2 XL", 1_542_000_000, 1024, WEBTEXT, NOT_PUBLISHED, RADFORD),
    "scaling-megatron-1.2b": Published(
        "Megatron-LM 1.2B", 1_200_000_000, 1024, MEGATRON_TEXT, "64 V100; a study of speed", SHOEYBI
    ),
    "scaling-megatron-2.5b": Published(
        "Megatron-LM 2.5B", 2_500_000_000, 1024, MEGATRON_TEXT, "128 V100, 2.3 days an epoch", SHOEYBI
    ),
    "scaling-megatron-4.2b": Published(
        "Megatron-LM 4.2B", 4_200_000_000, 1024, MEGATRON_TEXT, "256 V100; a study of speed", SHOEYBI
    ),
    "scaling-megatron-8.3b": Published(
        "Megatron-LM 8.3B", 8_300_000_000, 1024, MEGATRON_TEXT, "512 V100 for 9 days, 2.1 days an epoch", SHOEYBI
    ),
}
