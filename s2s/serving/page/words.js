// Words made of tokens, and attention between words.

export const WORD_START = "▁"; // first character of a token that starts a word
export const END = "</s>";
const WITHOUT_SPACES = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u;

/**
 * Return the words of tokens: their name, whether a space is before it, and their tokens from `start` up to `end`.
 *
 * `</s>` is a word of its own, and so is each token of a script that has no spaces between words.
 */
export function wordsOf(tokens) {
  const words = [];
  tokens.forEach((token, index) => {
    const spaced = token.startsWith(WORD_START) || token === END;
    const previous = tokens[index - 1] ?? "";
    const separate = previous !== WORD_START && (WITHOUT_SPACES.test(token) || WITHOUT_SPACES.test(previous));
    if (index === 0 || spaced || separate) words.push({ name: "", spaced: spaced && index > 0, start: index });
    const word = words.at(-1);
    word.name += token;
    word.end = index + 1;
  });
  return words.map((word) => ({ ...word, name: word.name.replace(/^▁(?=.)/u, "") }));
}

/** Return attention [words][S] of attention [L][S]: the mean of a word's tokens. */
export function ofWords(attention, words) {
  return words.map(({ start, end }) =>
    attention[start].map((_, place) => sum(start, end, (row) => attention[row][place]) / (end - start)));
}

/** Return attention [L][words] of attention [L][S]: all that the tokens of a source word got. */
export function toWords(attention, words) {
  return attention.map((row) => words.map(({ start, end }) => sum(start, end, (place) => row[place])));
}

function sum(start, end, value) {
  let total = 0;
  for (let index = start; index < end; index += 1) total += value(index);
  return total;
}
