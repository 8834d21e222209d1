package media

// ImageDigest is the SHA-256 of an installer image, in hexadecimal; "" where it cannot be read.
// It is kept in the cache, as that of images from which media are made.
func ImageDigest(o Options, src Source) string {
	s := &sources{dir: o.Dir, placeholders: o.Placeholders, cache: o.Cache}
	path := s.located(src).Path
	f, err := openRegular(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	digest, err := s.digest(f, path)
	if err != nil {
		return ""
	}
	return digest
}
