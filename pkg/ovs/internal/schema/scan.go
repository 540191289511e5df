package schema

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Scanner walks over one JSON text that is known to be well-formed: the frame it came in has been decoded. It makes no
// intermediate values; a fill of 50,000 rows is mostly this. The first surprise ends it.
type Scanner struct {
	b   []byte
	i   int
	err error
}

// NewScanner walks over the text.
func NewScanner(text []byte) *Scanner { return &Scanner{b: text} }

// Err is the first surprise.
func (s *Scanner) Err() error { return s.err }

func (s *Scanner) fail(want string) {
	if s.err == nil {
		s.err = fmt.Errorf("%s expected at offset %d of the server's message", want, s.i)
	}
	s.i = len(s.b)
}

// peek is the next byte that is no space, or 0 at the end.
func (s *Scanner) peek() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// accept steps over c if it comes next.
func (s *Scanner) accept(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.i++
	return true
}

func (s *Scanner) expect(c byte) {
	if !s.accept(c) {
		s.fail(strconv.QuoteRune(rune(c)))
	}
}

// raw is the bytes of the string that comes next, quotes included, and whether it has escapes.
func (s *Scanner) raw() (text []byte, escapes bool) {
	if s.peek() != '"' {
		s.fail("string")
		return nil, false
	}
	for start, i := s.i, s.i+1; i < len(s.b); i++ {
		switch s.b[i] {
		case '\\':
			escapes = true
			i++
		case '"':
			s.i = i + 1
			return s.b[start:s.i], escapes
		}
	}
	s.fail("end of string")
	return nil, false
}

func (s *Scanner) str() string {
	text, escapes := s.raw()
	if len(text) < 2 {
		return ""
	}
	if !escapes {
		return string(text[1 : len(text)-1])
	}
	var v string
	if err := json.Unmarshal(text, &v); err != nil {
		s.fail("string")
	}
	return v
}

// word is a number, true, false or null.
func (s *Scanner) word() string {
	s.peek()
	start := s.i
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c == '-', c == '+', c == '.', c == 'E':
			s.i++
			continue
		}
		break
	}
	if start == s.i {
		s.fail("number or word")
	}
	return string(s.b[start:s.i])
}

// Object calls f for each member, with the scanner before the value; f must consume it.
func (s *Scanner) Object(f func(key string)) {
	s.expect('{')
	if s.accept('}') {
		return
	}
	for s.err == nil {
		key := s.str()
		s.expect(':')
		f(key)
		if s.accept('}') {
			return
		}
		s.expect(',')
	}
}

// array calls f for each element; f must consume it.
func (s *Scanner) array(f func(i int)) {
	s.expect('[')
	if s.accept(']') {
		return
	}
	for i := 0; s.err == nil; i++ {
		f(i)
		if s.accept(']') {
			return
		}
		s.expect(',')
	}
}

// Skip steps over one value.
func (s *Scanner) Skip() {
	switch s.peek() {
	case '{':
		s.Object(func(string) { s.Skip() })
	case '[':
		s.array(func(int) { s.Skip() })
	case '"':
		s.raw()
	default:
		s.word()
	}
}

// Element is the text of the n-th element of an array; nil if there is none.
func Element(array []byte, n int) []byte {
	s := NewScanner(array)
	var out []byte
	s.array(func(i int) {
		s.peek()
		start := s.i
		s.Skip()
		if i == n && s.err == nil {
			out = array[start:s.i]
		}
	})
	return out
}
