/* Find a name by what a user types of it. A Hangul initial consonant stands for every syllable that begins with it:
 * "ㅇㅍㅇ" finds 알파원. Capital and small letters are the same.
 */

const INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"; // in the order of the syllables
/** What a Korean keyboard makes of two consonants in a row. */
const PAIRS = { ㄳ: "ㄱㅅ", ㄵ: "ㄴㅈ", ㄶ: "ㄴㅎ", ㄺ: "ㄹㄱ", ㄻ: "ㄹㅁ", ㄼ: "ㄹㅂ", ㄽ: "ㄹㅅ", ㄾ: "ㄹㅌ", ㄿ: "ㄹㅍ", ㅀ: "ㄹㅎ", ㅄ: "ㅂㅅ" };
const FIRST_SYLLABLE = 0xac00;
const SYLLABLES = 588; // that begin with the same consonant

/** A function that says whether a text has what was typed. */
export function finder(typed) {
  const letters = [...typed.trim().normalize("NFC")].flatMap((one) => [...(PAIRS[one] ?? one)]);
  const parts = letters.map((one) => {
    const at = INITIALS.indexOf(one);
    if (at < 0) return one.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
    const first = FIRST_SYLLABLE + at * SYLLABLES;
    return `[${one}${String.fromCharCode(first)}-${String.fromCharCode(first + SYLLABLES - 1)}]\\s*`;
  });
  const pattern = new RegExp(parts.join(""), "i");
  return (text) => pattern.test(text.normalize("NFC"));
}
