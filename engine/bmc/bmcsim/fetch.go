package bmcsim

import "fmt"

// readable reads an image as far as the BMC does to mount it.
func (s *Sim) readable(url string) error {
	if s.p.Prefetches && s.c.Fetch != nil {
		s.mu.Lock()
		half := s.fails("half", "")
		s.mu.Unlock()
		return s.c.Fetch(url, half)
	}
	if s.p.Prefetches || s.c.Check == nil {
		return nil
	}
	return s.c.Check(url)
}

// FetchStatus is the HTTP status by which a web server refused an image.
type FetchStatus int

// Error implements error.
func (f FetchStatus) Error() string { return fmt.Sprintf("the web server answers %d", int(f)) }

// answer is the status with which the BMC reports it.
func (f FetchStatus) answer() int {
	if f >= 500 {
		return 502
	}
	return 400
}
