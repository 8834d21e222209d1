package twin

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// connect gives both ends of a connection on a network.
func connect(t *testing.T, n *Network) (client, server net.Conn) {
	t.Helper()
	l := n.Listen()
	accepted := make(chan net.Conn)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	client, err := n.DialContext(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return client, <-accepted
}

// TestNetworkCarries whole streams both ways, however slowly they are read, and their ends.
func TestNetworkCarries(t *testing.T) {
	client, server := connect(t, &Network{})
	sent := strings.Repeat("0123456789", 100_000) // more than a connection holds
	go func() {
		io.WriteString(client, sent)
		client.Close()
	}()
	if got, err := io.ReadAll(server); err != nil || string(got) != sent {
		t.Errorf("%d of %d bytes, %v", len(got), len(sent), err)
	}
	if _, err := server.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("writing to a closed end: %v", err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading from what is closed: %v", err)
	}
	if client.LocalAddr().String() != server.RemoteAddr().String() || client.RemoteAddr().String() != server.LocalAddr().String() {
		t.Errorf("%v %v %v %v", client.LocalAddr(), server.RemoteAddr(), client.RemoteAddr(), server.LocalAddr())
	}
}

// TestNetworkDeadlines end what waits, also what waits already, and can be taken back.
func TestNetworkDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := connect(t, &Network{})
		began := time.Now()
		client.SetReadDeadline(began.Add(time.Minute))
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		client.SetDeadline(time.Time{})
		go func() {
			time.Sleep(time.Hour)
			client.SetReadDeadline(time.Unix(1, 0)) // as net/http ends a read that it no longer wants
		}()
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Hour+time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		server.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := server.Write(make([]byte, 2*held)); n != held || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes, %v", n, err)
		}
		client.SetReadDeadline(time.Time{})
		if n, err := client.Read(make([]byte, 10)); n != 10 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// TestNetworkLeadsNowhereElse: an address without a listener on it is refused, whatever listens on the
// computer.
func TestNetworkLeadsNowhereElse(t *testing.T) {
	real, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	n := &Network{}
	l := n.Listen()
	dial := n.Dialer(map[string]string{"bmc.example.com:443": l.Addr().String(), "192.0.2.1:443": real.Addr().String()})
	for address, want := range map[string]string{
		real.Addr().String(): "is not simulated", "192.0.2.1:443": "connection refused", "192.0.2.2:443": "is not simulated", "localhost:80": "is not simulated",
	} {
		if c, err := dial(context.Background(), "tcp", address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v %v", address, c, err)
		}
	}
	go l.Accept()
	if _, err := dial(context.Background(), "tcp", "bmc.example.com:443"); err != nil {
		t.Error(err)
	}
	l.Close()
	if _, err := dial(context.Background(), "tcp", "bmc.example.com:443"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
