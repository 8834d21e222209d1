// Package kickstart is the script by which ESXi installs itself: it writes one from
// typed data ([Script.Render]) and finds the mistakes in one that the user
// wrote ([Lint]).
//
// The installer is forgiving where it should not be: it takes an unknown command or
// option with a warning that no one sees, a # for a comment even inside of a password,
// the first disk of several; and where it refuses, it waits at a console for a key.
// So what this package writes comes from a closed grammar, and what it is given is
// checked against the same grammar. Both are in grammar.go; the rules, each with its
// reason and remedy, in rules.go.
//
// How the installer of ESXi 5 to 9 reads a script:
//
//   - a command per line, cut into words like a shell's, with comments, without
//     variables, and without lines that continue after a backslash;
//   - a script section (%pre, %post, %firstboot) extends to the next line that starts
//     with a section's name or with "include"; there is no %end;
//   - all %pre scripts run first, then what they wrote is included, then the
//     installation is decided upon, wherever the lines are.
package kickstart
