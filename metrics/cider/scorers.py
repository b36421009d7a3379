"""CIDEr-D, BLEU and ROUGE-L on a [`Corpus`], vectorised; the numbers are those of pycocoevalcap 1.2's scorers."""

import numpy as np

from .ngrams import count_ngrams, sort_stable, starts_of

MAX_ORDER = 4


def bleu_of(statistics):
    """
    BLEU-1 ... BLEU-4 `(..., 4)` from the statistics of an image, or from their sums over images, `(..., 10)`: matching
    n-grams of each order, n-grams of the prediction of each order, tokens of the prediction, tokens of that reference
    whose length is closest. The two small constants are pycocoevalcap's.
    """
    tiny, small = 1e-15, 1e-9
    correct, guess = statistics[..., :MAX_ORDER], statistics[..., MAX_ORDER : 2 * MAX_ORDER]
    scores = np.cumprod((correct + tiny) / (guess + small), axis=-1) ** (1 / np.arange(1, MAX_ORDER + 1))
    ratio = (statistics[..., -2] + tiny) / (statistics[..., -1] + small)
    penalty = np.where(ratio < 1, np.exp(1 - 1 / np.minimum(ratio, 1)), 1.0)
    return scores * penalty[..., None]


def cider_and_bleu(corpus, cider=True, bleu=True, saved=None):
    """
    Both scores from one pass over the n-grams.

    CIDEr-D is defined in Vedantam et al., "CIDEr: Consensus-based Image Description Evaluation", section 7: clipped
    counts and a Gaussian penalty on the difference of the lengths, times 10.

    Args:
        corpus ([`Corpus`]): predictions and references.
        cider, bleu (`bool`, *optional*, defaults to `True`): what to compute.
        saved ([`DocumentFrequencies`], *optional*): those of another corpus; of these references by default.

    Returns:
        `tuple[np.ndarray | None, np.ndarray | None]`: CIDEr-D of each image `(N,)`, and the statistics of each image
        `(N, 10)` of which [`bleu_of`] makes BLEU.
    """
    frequencies, logs = document_frequencies(corpus, saved)
    similarity = np.zeros(len(corpus.lengths))
    correct = np.zeros((len(corpus.first), MAX_ORDER))
    for order, grams in enumerate(count_ngrams(corpus, MAX_ORDER, matching=not cider)):
        if cider:
            similarity += _cosine(corpus, grams, logs[-1] - logs[frequencies(grams)])
        if bleu:
            correct[:, order] = _clipped_matches(corpus, grams)
    scores = _cider(corpus, similarity / MAX_ORDER) if cider else None
    return scores, _bleu_statistics(corpus, correct) if bleu else None


def document_frequencies(corpus, saved=None):
    """
    How CIDEr weighs n-grams: a function that returns how many images `(G,)` have each of the [`NGrams`] it is called
    with, in the order 1, 2, ...; and a table of logarithms, up to that of the number of images. One table for both, so
    that a word in every image weighs exactly 0.
    """
    images = len(corpus.first) if saved is None else saved.images
    logs = np.log(np.maximum(np.arange(images + 1), 1))
    return (lambda grams: grams.document_frequency) if saved is None else saved.lookup(corpus), logs


def _cosine(corpus, grams, idf):
    """Cosine of each reference `(C,)` with the prediction of its image, for one order; 0 on the predictions."""
    captions = len(corpus.lengths)
    weight = grams.count * grams.spread(idf)  # (E,)
    norm = np.sqrt(np.bincount(grams.caption, weight**2, captions))
    # Entries of references of the runs whose n-gram is in the prediction, too; the first entry is the prediction's.
    runs = np.flatnonzero(grams.in_prediction)
    lengths = grams.run_lengths[runs] - 1
    entries = _ranges(grams.run_starts[runs] + 1, lengths)
    in_prediction = np.repeat(weight[grams.run_starts[runs]], lengths)
    weight = weight[entries]
    dots = np.bincount(grams.caption[entries], np.minimum(in_prediction, weight) * weight, captions)
    norms = norm * norm[corpus.first[corpus.image_of]]
    return np.divide(dots, norms, out=np.zeros(captions), where=norms != 0)


def _ranges(starts, lengths):
    """`start, start + 1, ...`, `length` numbers for each start, in one array."""
    ends = np.cumsum(lengths)
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(ends[-1] if len(ends) else 0)


def _cider(corpus, similarity):
    similarity = similarity * length_penalty(corpus.lengths, corpus.lengths[corpus.first[corpus.image_of]])
    # Predictions have similarity 0, so a sum over all captions of an image is a sum over its references.
    return 10 * np.bincount(corpus.image_of, similarity, len(corpus.first)) / corpus.reference_counts


def length_penalty(lengths, other_lengths, sigma=6.0):
    """CIDEr-D's Gaussian of the difference of two lengths in tokens, which the reference counts in bigrams."""
    delta = np.maximum(lengths - 1, 0) - np.maximum(other_lengths - 1, 0)
    return np.exp(-(delta**2) / (2 * sigma**2))


def _clipped_matches(corpus, grams):
    """How many n-grams of each prediction `(N,)` are in its references, each at most as often as in one of them."""
    images = len(corpus.first)
    if not len(grams.count):
        return np.zeros(images)
    in_references = grams.count.copy()
    in_references[corpus.is_prediction[grams.caption]] = 0
    most = np.maximum.reduceat(in_references, grams.run_starts)
    runs = np.flatnonzero(grams.in_prediction)
    matches = np.minimum(most[runs], grams.in_prediction[runs])
    image = corpus.image_of[grams.caption[grams.run_starts[runs]]]
    return np.bincount(image, matches, images)


def _bleu_statistics(corpus, correct):
    prediction_length = corpus.lengths[corpus.first]
    guess = np.maximum(prediction_length[:, None] - np.arange(MAX_ORDER), 0)
    # Closest length; of two equally close ones the shorter.
    distance = np.abs(corpus.lengths - prediction_length[corpus.image_of])
    big = int(corpus.lengths.max(initial=0)) + 1
    rank = distance * big + corpus.lengths
    rank[corpus.first] = np.iinfo(np.int64).max
    reference_length = np.minimum.reduceat(rank, corpus.first) % big
    return np.column_stack([correct, guess, prediction_length, reference_length])


def rouge_l(corpus, beta=1.2):
    """
    ROUGE-L of each image `(N,)`: F-measure of the best precision and the best recall over the references, which may be
    two different ones (Lin, "ROUGE", section 3.1, with pycocoevalcap's beta). Two empty captions are equal: 1.0.

    Args:
        corpus ([`Corpus`]): predictions and references.
        beta (`float`, *optional*, defaults to 1.2): weight of recall against precision.
    """
    owner = corpus.first[corpus.image_of]  # (C,) caption number of the prediction of the same image
    common = _longest_common_subsequence(corpus)
    common[(corpus.lengths == 0) & (corpus.lengths[owner] == 0)] = 1
    lengths = np.maximum(corpus.lengths, 1)  # an empty caption counts as one empty token
    precision, recall = common / lengths[owner], common / lengths
    precision[corpus.first] = recall[corpus.first] = 0
    precision = np.maximum.reduceat(precision, corpus.first)
    recall = np.maximum.reduceat(recall, corpus.first)
    weighted = recall + beta**2 * precision
    return np.divide((1 + beta**2) * precision * recall, weighted, out=np.zeros_like(weighted), where=weighted != 0)


def _longest_common_subsequence(corpus):
    """
    Length of the longest common subsequence of each caption `(C,)` with the prediction of its image. Bit-parallel
    (Hyyrö, "Bit-parallel LCS-length computation revisited", 2004): a prediction is a 64-bit word, and one step takes
    one more token of *every* caption at once. Longer predictions go one by one through Python's own integers.
    """
    owner_length = corpus.lengths[corpus.first[corpus.image_of]]
    local = np.arange(len(corpus.tokens)) - np.repeat(corpus.offsets, corpus.lengths)
    order, new_word = sort_stable(corpus.tokens)
    caption = corpus.caption_of[order]
    run_starts = np.flatnonzero(new_word | starts_of(corpus.image_of[caption]))
    # Places of the word in the prediction as bits, shared by all its occurrences within the image.
    bits = np.uint64(1) << (local[order] % 64).astype(np.uint64)
    bits[~corpus.is_prediction[caption]] = 0
    matches = np.zeros(len(order), np.uint64)  # (T,)
    if len(order):
        run_lengths = np.diff(run_starts, append=len(order))
        matches[order] = np.repeat(np.bitwise_or.reduceat(bits, run_starts), run_lengths)

    longest_first = np.argsort(-corpus.lengths, kind="stable")
    state = np.full(len(longest_first), ~np.uint64(0))
    lengths = corpus.lengths[longest_first]
    starts = corpus.offsets[longest_first]
    for step in range(int(lengths.max(initial=0))):
        active = np.searchsorted(-lengths, -step)  # captions with more than `step` tokens
        match = matches[starts[:active] + step]
        present = state[:active] & match
        state[:active] = (state[:active] + present) | (state[:active] & ~match)
    common = np.empty(len(longest_first), np.int64)
    common[longest_first] = np.bitwise_count(~state)
    for caption in np.flatnonzero((owner_length > 64) & ~corpus.is_prediction):
        common[caption] = _long_lcs(corpus, caption)
    return common


def _long_lcs(corpus, caption):
    prediction = corpus.first[corpus.image_of[caption]]
    places = {}
    for place, word in enumerate(_words(corpus, prediction)):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << int(corpus.lengths[prediction])) - 1
    state = full
    for word in _words(corpus, caption):
        match = places.get(word, 0)
        state = ((state + (state & match)) | (state & ~match)) & full
    return (full ^ state).bit_count()


def _words(corpus, caption):
    start = corpus.offsets[caption]
    return corpus.tokens[start : start + corpus.lengths[caption]].tolist()
