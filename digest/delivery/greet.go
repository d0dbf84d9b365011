package delivery

import (
	"context"
	"fmt"
)

// Greet connects to the server, says EHLO, protects the connection and logs in
// as Send would, and leaves without sending anything.
func (s SMTP) Greet(ctx context.Context) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	if err := client.DialWithContext(ctx); err != nil {
		return fmt.Errorf("greeting %s:%d: %w", s.Host, s.Port, err)
	}
	return client.Close()
}
