package bmcsim

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"strings"
)

// exportScreen answers with what the machine's screen shows, where the firmware offers that.
func (s *Sim) exportScreen(w http.ResponseWriter, arguments map[string]any) {
	if arguments["FileType"] != "ServerScreenShot" {
		s.fail(w, 400, "Base.1.12.ActionParameterValueFormatError")
		return
	}
	var lines []string
	if s.c.Screen != nil {
		lines = s.c.Screen()
	}
	s.write(w, 200, object{"ServerScreenshotFile": drawScreen(lines)}) // in base64, as JSON has bytes
}

// A screen in characters, and how large one of them is in pixels: a glyph of 3 by 5, twice as
// large, and a gap.
const (
	screenColumns, screenRows = 80, 25
	cellWidth, cellHeight     = 8, 12
	zoom                      = 2
)

// drawScreen draws the last lines of a console, in white on black.
func drawScreen(lines []string) []byte {
	lines = lines[max(0, len(lines)-screenRows):]
	img := image.NewPaletted(image.Rect(0, 0, screenColumns*cellWidth, screenRows*cellHeight), color.Palette{color.Black, color.White})
	for row, line := range lines {
		for column, r := range []rune(strings.ToUpper(line)) {
			if column < screenColumns {
				drawGlyph(img, column*cellWidth, row*cellHeight, r)
			}
		}
	}
	var out bytes.Buffer
	png.Encode(&out, img)
	return out.Bytes()
}

func drawGlyph(img *image.Paletted, left, top int, r rune) {
	rows, ok := glyphs[r]
	if !ok {
		rows = "77777"
	}
	for y, bits := range rows {
		for x := range 3 {
			if (bits-'0')&(4>>x) == 0 {
				continue
			}
			for pixel := range zoom * zoom {
				img.SetColorIndex(left+x*zoom+pixel%zoom, top+y*zoom+pixel/zoom, 1)
			}
		}
	}
}

// glyphs are the characters of a small font: five rows of three pixels, each row an octal digit.
var glyphs = map[rune]string{
	' ': "00000", '.': "00002", ',': "00024", ':': "02020", ';': "02024", '-': "00700", '_': "00007", '/': "11244", '(': "12221", ')': "42224", '=': "07070", '\'': "22000", '%': "51245",
	'0': "75557", '1': "26227", '2': "71747", '3': "71717", '4': "55711", '5': "74717", '6': "74757", '7': "71111", '8': "75757", '9': "75717",
	'A': "25755", 'B': "65656", 'C': "34443", 'D': "65556", 'E': "74647", 'F': "74644", 'G': "34553", 'H': "55755", 'I': "72227", 'J': "11152", 'K': "55655", 'L': "44447", 'M': "57755",
	'N': "65555", 'O': "25552", 'P': "65644", 'Q': "25573", 'R': "65655", 'S': "34216", 'T': "72222", 'U': "55557", 'V': "55552", 'W': "55775", 'X': "55255", 'Y': "55222", 'Z': "71247",
}
