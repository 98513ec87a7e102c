package docsgpt

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of a form. Uploads of widgets have two parts.
const (
	maxParts       = 32
	maxFieldBytes  = 64 << 10 // of all fields together, including dropped ones
	maxPartHeaders = 8 << 10  // of one part
)

// fileField is the name of the fields that contain files.
const fileField = "file"

// FormError describes a fault in a form. Its text is for the client.
type FormError string

// Error implements error.
func (e FormError) Error() string { return string(e) }

// Errors of a form.
const (
	errForm       FormError = "the body is not valid multipart/form-data"
	errPart       FormError = "a part of the form is not valid form data"
	errParts      FormError = "the form has too many parts"
	errFields     FormError = "the fields of the form are too large"
	errFieldTwice FormError = "a field is specified twice in the form"
	errFieldText  FormError = "a field of the form is not text in UTF-8, or contains a NUL character"
	errFileName   FormError = "a file does not have a valid name"
	errFiles      FormError = "the form has too many files"
)

// Form is a form that is read and written again. Its files are written to the new form as they are read; its fields are written
// by [Form.Finish]. It is not safe for concurrent use.
type Form struct {
	endpoint  *Endpoint
	out       *bufio.Writer
	parts     *multipart.Writer
	count     int // of parts
	files     int
	remaining int // for fields
	fields    []formField
	token     string
	hasToken  bool

	in          *partReader
	header      textproto.MIMEHeader // of the next part; nil: not read yet
	disposition disposition          // of the next part
	complete    bool                 // all parts were read
}

type formField struct {
	spec  *Field
	value string
}

// FormBoundary returns the boundary in a request's Content-Type headers. ok is false unless there is one header, with the
// type multipart/form-data and one valid boundary.
func FormBoundary(contentType []string) (boundary string, ok bool) {
	if len(contentType) != 1 {
		return "", false
	}
	media, rest, more := strings.Cut(contentType[0], ";")
	if !strings.EqualFold(strings.Trim(media, " "), "multipart/form-data") {
		return "", false
	}
	for more {
		var name, value string
		if name, value, rest, more, ok = cutParameter(rest); !ok {
			return "", false
		}
		switch {
		case name == "boundary" && boundary == "":
			boundary = value
		case name == "charset" && strings.EqualFold(value, "utf-8"):
		default:
			return "", false
		}
	}
	if len(boundary) > 70 || strings.Trim(boundary, boundaryChars) != "" || strings.HasSuffix(boundary, " ") {
		return "", false
	}
	return boundary, boundary != ""
}

// boundaryChars are the characters that RFC 2046 allows in a boundary.
const boundaryChars = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=? "

// NewForm returns a form for an endpoint that is read from body. Its files are written to out, each as a part of a new form
// with a new boundary. Fields that the endpoint does not list, and files in fields other than "file", are dropped. Input that
// parsers of forms are known to read differently is an error. The memory that a form needs does not depend on the size of its
// files.
//
// Read it with [Form.ReadToFile] and [Form.ReadRest]. Their error is a [FormError], or a wrapped error of reading or writing.
func NewForm(e *Endpoint, boundary string, body io.Reader, out io.Writer) *Form {
	f := &Form{endpoint: e, out: bufio.NewWriterSize(out, 32<<10), remaining: maxFieldBytes, in: newPartReader(body, boundary)}
	f.parts = multipart.NewWriter(f.out)
	return f
}

// ReadToFile reads the parts before the first file, or all parts if there is no file.
func (f *Form) ReadToFile() error {
	if err := f.in.begin(); err != nil {
		return err
	}
	return f.readParts(true)
}

// ReadRest reads the parts that [Form.ReadToFile] has left.
func (f *Form) ReadRest() error { return f.readParts(false) }

// readParts reads parts up to the end, or to a file if stopAtFile is true.
func (f *Form) readParts(stopAtFile bool) error {
	for !f.complete {
		if f.header == nil {
			header, err := f.in.next()
			if err != nil {
				return err
			}
			if f.complete = header == nil; f.complete {
				return nil
			}
			if f.count++; f.count > maxParts {
				return errParts
			}
			if f.disposition, err = partDisposition(header); err != nil {
				return err
			}
			f.header = header
		}
		if stopAtFile && f.isUpload(f.disposition) {
			return nil
		}
		header := f.header
		f.header = nil
		if err := f.read(f.in, header, f.disposition); err != nil {
			return err
		}
	}
	return nil
}

// isUpload reports whether a part is a file to forward.
func (f *Form) isUpload(d disposition) bool {
	return d.name == fileField && d.isFile && f.endpoint.Files > 0
}

// read reads one part.
func (f *Form) read(part io.Reader, h textproto.MIMEHeader, d disposition) (err error) {
	switch {
	case d.name == fileField && f.endpoint.Files > 0:
		if !d.isFile {
			return errPart
		}
		return f.readFile(part, d.filename, fileType(h))
	case (d.isFile || !plainText(h)) && f.isKnownField(d.name):
		return errPart
	case d.name == "api_key":
		if f.hasToken {
			return errFieldTwice
		}
		f.hasToken = true
		f.token, err = f.readText(part)
		return err
	}
	for i := range f.endpoint.Fields {
		if m := &f.endpoint.Fields[i]; m.Name == d.name {
			return f.readField(part, m)
		}
	}
	if d.isFile {
		_, err = io.Copy(io.Discard, part)
		return err
	}
	_, err = f.readBytes(part)
	return err
}

// isKnownField reports whether a field of that name is used rather than dropped.
func (f *Form) isKnownField(name string) bool {
	return name == "api_key" || slices.ContainsFunc(f.endpoint.Fields, func(m Field) bool { return m.Name == name })
}

func (f *Form) readField(part io.Reader, m *Field) error {
	for _, other := range f.fields {
		if other.spec == m {
			return errFieldTwice
		}
	}
	value, err := f.readText(part)
	f.fields = append(f.fields, formField{m, value})
	return err
}

// readText reads the value of a field.
func (f *Form) readText(part io.Reader) (string, error) {
	value, err := f.readBytes(part)
	if err == nil && (!utf8.Valid(value) || bytes.IndexByte(value, 0) >= 0) { // see checkCharacters
		err = errFieldText
	}
	return string(value), err
}

func (f *Form) readBytes(part io.Reader) ([]byte, error) {
	value, err := io.ReadAll(io.LimitReader(part, int64(f.remaining)+1))
	if f.remaining -= len(value); f.remaining < 0 {
		return nil, errFields
	}
	return value, err
}

func (f *Form) readFile(part io.Reader, filename, media string) error {
	if f.files++; f.files > f.endpoint.Files {
		return errFiles
	}
	name, ok := safeFilename(filename)
	if !ok {
		return errFileName
	}
	out, err := f.parts.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="` + fileField + `"; filename="` + name + `"`},
		"Content-Type":        {media},
	})
	if err == nil {
		_, err = io.Copy(out, part)
	}
	return err
}

// Token returns the client's token. ok is false if the form has no field "api_key".
func (f *Form) Token() (token string, ok bool) { return f.token, f.hasToken }

// Value returns the value of the field with that validator, or "".
func (f *Form) Value(c Validator) string {
	for _, field := range f.fields {
		if field.spec.Check == c {
			return field.value
		}
	}
	return ""
}

// SetValue replaces the value of the field with that validator.
func (f *Form) SetValue(c Validator, value string) {
	for i := range f.fields {
		if f.fields[i].spec.Check == c {
			f.fields[i].value = value
		}
	}
}

// Check returns an error unless the form has everything that the endpoint requires. The error's text is for the client.
func (f *Form) Check() error {
	if f.endpoint.Files > 0 && f.files == 0 {
		return FormError(`the file is missing: send it in the field "file"`)
	}
	for i := range f.endpoint.Fields {
		m := &f.endpoint.Fields[i]
		if m.Required && f.value(m) == "" {
			return FormError(fmt.Sprintf("the field %q is missing", m.Name))
		}
		if m.Check == CheckIndex && !isDigits(f.value(m)) {
			return FormError(fmt.Sprintf("the field %q must be a non-negative integer", m.Name))
		}
	}
	return nil
}

func (f *Form) value(m *Field) string {
	for _, field := range f.fields {
		if field.spec == m {
			return field.value
		}
	}
	return ""
}

// Finish writes the fields to forward, and the agent's key if it is not empty, and completes the new form.
func (f *Form) Finish(agent string) error {
	for _, field := range f.fields {
		if err := f.parts.WriteField(field.spec.Name, field.value); err != nil {
			return fmt.Errorf("writing a form: %w", err)
		}
	}
	if agent != "" {
		if err := f.parts.WriteField("api_key", agent); err != nil {
			return fmt.Errorf("writing a form: %w", err)
		}
	}
	if err := f.parts.Close(); err != nil {
		return fmt.Errorf("writing a form: %w", err)
	}
	if err := f.out.Flush(); err != nil {
		return fmt.Errorf("writing a form: %w", err)
	}
	return nil
}

// ContentType returns the media type of the new form.
func (f *Form) ContentType() string { return f.parts.FormDataContentType() }
