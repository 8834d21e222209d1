package bmc

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
)

// License implements [Reader]. The standard's service gives names if there is one, else the
// vendor knows where to look; only the vendor knows what a name covers.
func (r *Redfish) License(ctx context.Context) (License, error) {
	if r.license != nil {
		return *r.license, nil
	}
	names, err := r.licenses(ctx)
	if err == nil && len(names) == 0 && r.rules.Licenses != nil {
		names, err = r.rules.Licenses(ctx)
	}
	if err != nil && !absent(err) {
		return License{}, answered(err)
	}
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	l := License{Name: strings.Join(names, ", ")}
	if r.rules.Covers != nil && len(names) > 0 {
		l.Media = r.rules.Covers(names)
	}
	if r.ahead == nil {
		r.license = &l
	}
	return l, nil
}

// licenses reads the standard's service.
func (r *Redfish) licenses(ctx context.Context) ([]string, error) {
	if r.root.licenses == "" {
		return nil, nil
	}
	var service struct{ Licenses Link }
	if err := r.Get(ctx, r.root.licenses, &service); err != nil {
		if absent(err) {
			return nil, nil
		}
		return nil, err
	}
	var names []string
	err := r.Members(ctx, service.Licenses, func(raw json.RawMessage) error {
		var l struct{ ID, Name, Description string }
		if lenient(raw, &l) == nil {
			if l.Name == l.ID { // recorded: the name is the id, and the description names it
				l.Name = l.Description
			}
			if name := strings.TrimSpace(l.Name); name != "" {
				names = append(names, name)
			}
		}
		return nil
	})
	if absent(err) {
		err = nil
	}
	return names, err
}

// answered drops an error that is an answer of the BMC: what its license service does not
// report is unknown until an insert is tried.
func answered(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Status != 0 {
		return nil
	}
	return err
}
