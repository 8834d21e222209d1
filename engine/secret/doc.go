// Package secret masks secrets in what a process writes.
//
// A [Masker] knows the secrets of a process. It is made before the first byte is read from a
// machine, takes further secrets while the process runs, such as the token of a session, and
// filters the input of every sink: [Masker.Mask] for texts, [Masker.Writer] for streams.
//
// A secret of six characters or more is found wherever it is: as it is; in base64 and
// base64url, at each of the three alignments, so also within that of user:password; in
// hexadecimal; and in each of these behind the escapes of JSON, URLs and HTML, which are
// undone in any spelling and mixture, up to three layers deep. One that was cut off, with an
// ellipsis behind it, is found from its sixth byte on.
//
// A shorter secret would be found in every text: the password "a" would blank every letter.
// It is masked only where it is a whole value: a JSON string that equals it, or a word
// between characters that are neither letters nor digits nor _; the same holds for its
// base64 and hexadecimal forms. Keys and bare numbers of a JSON document are left, so that
// programs can still read it. A text that is empty or blank is no secret.
//
// The mask keeps JSON valid. It does not find what is derived from a secret rather than
// encoded, such as the hash in a kickstart, which is no secret.
package secret
