package api

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/internal/duration"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/visitortoken"
)

// SignSecret is a secret that signs tokens of visitors, without its text.
type SignSecret struct {
	ID      string     `json:"id"`
	Created *time.Time `json:"created,omitempty"`
	Expires *time.Time `json:"expires,omitempty"` // of a replaced secret
}

func (k *Key) setSigning(s *keyservice.Signing) {
	for _, secret := range s.Secrets {
		k.SignSecrets = append(k.SignSecrets, SignSecret{secret.ID, timeOrNil(secret.Created), timeOrNil(secret.Until)})
	}
	k.SignPublicKeys, k.Generation, k.SigningProblem = formatPublicKeys(s.PublicKeys), s.Generation, s.Problem
}

func formatPublicKeys(keys []ed25519.PublicKey) (texts []string) {
	for _, key := range keys {
		texts = append(texts, visitortoken.FormatPublicKey(key))
	}
	return texts
}

// signingFields are the fields of a body about what verifies signed tokens, apart from secrets, which only the gate generates.
type signingFields struct {
	SignPublicKeys optional[oneOrMore] `json:"sign_public_key"`
	Generation     *generation         `json:"generation"`
}

// signing returns the fields as a change, and the errors about their values.
func (f *signingFields) signing() (c registry.SigningChange, faults []fieldError) {
	if f.SignPublicKeys.set {
		texts := optional[[]string]{set: true, null: f.SignPublicKeys.null, to: f.SignPublicKeys.to}
		c.PublicKeys = parseList(&texts, "sign_public_key", registry.MaxSignPublicKeys, visitortoken.ParsePublicKey, &faults)
	}
	if f.Generation != nil {
		number := uint32(*f.Generation)
		c.Generation = &number
	}
	return c, faults
}

// generation is a number from 0 to visitortoken.MaxGeneration.
type generation uint32

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (g *generation) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == '0' {
		token, err := dec.ReadToken()
		if err != nil {
			return err
		}
		number, err := token.Float() // 1.0 is an integer in JSON Schema
		if err == nil && number >= 0 && number <= visitortoken.MaxGeneration && number == float64(uint32(number)) {
			*g = generation(number)
			return nil
		}
	} else if err := dec.SkipValue(); err != nil {
		return err
	}
	return &valueError{"must be a number from 0 to " + strconv.Itoa(visitortoken.MaxGeneration)}
}

// rotateSignSecret creates a secret. The response is the only one that contains it.
func (a *api) rotateSignSecret(w http.ResponseWriter, r *http.Request) error {
	body, grace, err := readGrace(w, r)
	if err != nil {
		return err
	}
	return a.idempotent(w, r, body, func(ctx context.Context) (*storedResponse, error) {
		id := r.PathValue("id")
		created, err := a.Service.RotateSignSecret(ctx, a.Actor(r), id, grace)
		pending := errors.Is(err, registry.ErrNotApplied) && created.ID != ""
		if err != nil && !pending {
			return nil, err
		}
		shown, showErr := a.Service.Show(ctx, id)
		if showErr != nil {
			shown = keyservice.Key{ID: id} // the secret must not be lost
			a.log(r, showErr)
		}
		key := responseKey(&shown)
		key.SignSecret = created.Secret.Reveal()
		if pending {
			key.UnusableReason = keyservice.ApplyPending
			a.log(r, err)
		}
		return &storedResponse{status: http.StatusCreated, key: id, body: encode(key)}, nil
	})
}

func (a *api) endSignGrace(w http.ResponseWriter, r *http.Request) error {
	return a.changeSigning(w, r, a.Service.EndSignGrace)
}

func (a *api) invalidateVisitorTokens(w http.ResponseWriter, r *http.Request) error {
	return a.changeSigning(w, r, a.Service.InvalidateVisitorTokens)
}

func (a *api) changeSigning(
	w http.ResponseWriter, r *http.Request, change func(ctx context.Context, by registry.Actor, id string) error,
) error {
	if err := requireEmptyBody(w, r); err != nil {
		return err
	}
	return a.respondUpdated(w, r, func(ctx context.Context, id string) (keyservice.Key, error) {
		if err := change(ctx, a.Actor(r), id); err != nil {
			return keyservice.Key{}, err
		}
		return a.Service.Show(ctx, id)
	})
}

// VisitorToken is a token that the gate has signed.
type VisitorToken struct {
	Token   string    `json:"token"`
	Key     string    `json:"key"`
	Visitor string    `json:"visitor"`
	Expires time.Time `json:"expires"`
}

// VisitorTokenRequest is, for clients of the API, the body of a request that signs a token.
type VisitorTokenRequest struct {
	Visitor string            `json:"visitor"`
	Expires string            `json:"expires,omitempty"`
	Origin  string            `json:"origin,omitempty"`
	Limits  map[string]string `json:"limits,omitempty"`
}

// visitorTokenRequest is the body of a request that signs a token.
type visitorTokenRequest struct {
	Visitor string        `json:"visitor"`
	Expires *string       `json:"expires"`
	Origin  *string       `json:"origin"`
	Limits  limitsRequest `json:"limits"`
}

// DefaultVisitorLifetime is how long a token is valid if the request does not say it.
const DefaultVisitorLifetime = 10 * time.Minute

// signVisitorToken signs a token. The token is neither stored nor logged, so a retry gets another one.
func (a *api) signVisitorToken(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	body, err := readBody(w, r, maxBody, false)
	if err != nil {
		return err
	}
	var wanted visitorTokenRequest
	if err := decode(body, &wanted); err != nil {
		return err
	}
	request, faults := wanted.request()
	if faults != nil {
		return invalid(faults)
	}
	id := r.PathValue("id")
	token, expires, err := a.Service.SignVisitorToken(r.Context(), id, request)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, VisitorToken{token, id, request.Visitor, expires})
	return nil
}

// request returns the token to sign, and the errors about values. No error repeats a value.
func (v *visitorTokenRequest) request() (r visitortoken.Request, faults []fieldError) {
	r = visitortoken.Request{Visitor: v.Visitor, Lifetime: DefaultVisitorLifetime}
	if v.Expires != nil {
		var err error
		if r.Lifetime, err = duration.Parse(*v.Expires); err != nil {
			faults = append(faults, fieldError{"expires", "/expires", "must be a duration such as 10m or 1h, at most 1d"})
		}
		r.Lifetime = r.Lifetime.Truncate(time.Second)
	}
	if v.Origin != nil {
		origin, err := policy.ParseOrigin(*v.Origin)
		if err != nil {
			faults = append(faults, fieldError{"origin", "/origin", err.Error()})
		}
		r.Origin = &origin
	}
	if len(v.Limits) > maxLimits {
		return r, append(faults, fieldError{"limits", "/limits", fmt.Sprintf("must have at most %d fields", maxLimits)})
	}
	for _, name := range slices.Sorted(maps.Keys(v.Limits)) {
		err := error(nil)
		switch value := v.Limits[name]; {
		case !slices.Contains(visitortoken.LimitNames, name):
			err = errors.New("is not a known field")
		case value.null:
			err = errors.New("must not be null")
		default:
			err = r.Limits.Set(name, value.text)
		}
		if err != nil {
			pointer := jsontext.Pointer("/limits").AppendToken(name)
			faults = append(faults, fieldError{fieldOf(pointer), string(pointer), err.Error()})
		}
	}
	return r, faults
}
