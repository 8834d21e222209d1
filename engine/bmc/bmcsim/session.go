package bmcsim

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

const sessionsPath = root + "/SessionService/Sessions"

// session is an open one. Its time is real: clients and their connections are real, whatever
// the time of the simulated machine.
type session struct {
	id, token string
	user      string
	origin    string // address of the client
	context   string
	opened    time.Time
}

// OpenSessions lists the ids of the sessions that are open.
func (s *Sim) OpenSessions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.sessions))
}

func (s *Sim) login(w http.ResponseWriter, r *http.Request, body []byte) {
	var c struct{ UserName, Password, Context string }
	var given map[string]any
	if json.Unmarshal(body, &c) != nil || json.Unmarshal(body, &given) != nil {
		s.fail(w, 400, "Base.1.8.MalformedJSON")
		return
	}
	if s.p.BareLogin && (r.Header.Get("Authorization") != "" || r.Header.Get("X-Auth-Token") != "") {
		s.fail(w, 415, "Base.1.8.GeneralError")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range given {
		if name != "UserName" && name != "Password" && !(name == "Context" && s.p.Sessions.Context) {
			s.fail(w, 400, "Base.1.8.PropertyUnknown", name)
			return
		}
	}
	if !s.knows(c.UserName, c.Password) {
		s.fail(w, 401, "Base.1.8.InsufficientPrivilege")
		return
	}
	if len(s.sessions) >= s.p.SessionLimit || s.fails("full", "") {
		s.fail(w, 503, s.p.in().sessionFull)
		return
	}
	open := s.open(c.UserName, r.RemoteAddr, c.Context)
	w.Header().Set("X-Auth-Token", open.token)
	location := sessionsPath + "/" + open.id
	if s.p.Slash { // an absolute Location with a slash, as HPE documents it
		location = "https://" + s.c.UUID + location + "/"
	}
	w.Header().Set("Location", location)
	document, _ := s.document(sessionsPath + "/" + open.id)
	s.write(w, 201, document)
}

func (s *Sim) knows(user, password string) bool {
	further, ok := s.c.Accounts[user]
	return user == s.c.Username && password == s.c.Password || ok && password == further
}

func (s *Sim) open(user, remote, context string) *session {
	random := make([]byte, 16)
	rand.Read(random)
	s.serial++
	s.opened++
	origin, _, err := net.SplitHostPort(remote)
	if err != nil {
		origin = remote
	}
	open := &session{id: fmt.Sprint(s.serial), token: hex.EncodeToString(random), user: user, origin: origin, context: context, opened: time.Now()}
	s.sessions[open.id] = open
	return open
}

func (s *Sim) logout(w http.ResponseWriter, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[id] == nil {
		s.fail(w, 404, "Base.1.8.ResourceMissingAtURI")
		return
	}
	delete(s.sessions, id)
	s.closed++
	s.succeed(w)
}

// sessionURIs are the sessions that are open.
func (s *Sim) sessionURIs() (uris []string) {
	for _, id := range slices.Sorted(maps.Keys(s.sessions)) {
		uris = append(uris, sessionsPath+"/"+id)
	}
	return uris
}

// sessionDocument shows what this firmware shows of a session.
func (s *Sim) sessionDocument(path string) object {
	open := s.sessions[path[strings.LastIndexByte(path, '/')+1:]]
	if open == nil {
		return nil
	}
	p := s.p.Sessions
	d := object{"Id": open.id, "Name": "User Session", "UserName": open.user, "Password": nil}
	if p.NoUser {
		delete(d, "UserName")
	}
	if p.Type {
		d["SessionType"] = "Redfish"
	}
	if p.Origin {
		d["ClientOriginIPAddress"] = open.origin
	}
	if p.Created {
		d["CreatedTime"] = open.opened.Format("2006-01-02T15:04:05-07:00")
	}
	if p.Context && open.context != "" {
		d["Context"] = open.context
	}
	if p.Oem {
		d["Oem"] = object{s.p.Oem: object{"UserAccount": open.user, "UserIP": open.origin, "LoginTime": s.loginTime(open), "UserTag": "Redfish"}}
	}
	return d
}

// loginTime is written like that of the vendors that have it in their own object.
func (s *Sim) loginTime(open *session) string {
	if s.p.Sessions.NoUser {
		return open.opened.Format(time.DateTime)
	}
	return open.opened.UTC().Format("2006-01-02T15:04:05Z")
}
