package docsgpt_test

import (
	"fmt"
	"log"

	"github.com/docsgate/docsgate/docsgpt"
)

// A question of a widget is forwarded with the agent's key in place of the client's token. The field "model_id" is dropped,
// since a client must not choose the model.
func ExampleBody_Rewrite() {
	version, err := docsgpt.FindVersion(docsgpt.Default)
	if err != nil {
		log.Fatal(err)
	}
	routes, err := docsgpt.NewRoutes(version, []docsgpt.Group{docsgpt.GroupWidget}, nil)
	if err != nil {
		log.Fatal(err)
	}
	endpoint := routes.Find("/stream").Endpoint("POST")

	var body docsgpt.Body
	input := `{"question":"How do I return a book?","model_id":"expensive","api_key":"TOKEN"}`
	if err := body.Parse(endpoint, []byte(input)); err != nil {
		log.Fatal(err)
	}
	token, _ := body.Token()
	fmt.Println("token:", token)
	if err := body.Check(endpoint); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", body.Rewrite(endpoint, docsgpt.Binding{Agent: "AGENT-KEY"}, false))

	// Output:
	// token: TOKEN
	// {"question":"How do I return a book?","api_key":"AGENT-KEY"}
}

// Errors of a body are sentences for the client.
func ExampleBody_Check() {
	version, err := docsgpt.FindVersion("1.1")
	if err != nil {
		log.Fatal(err)
	}
	routes, err := docsgpt.NewRoutes(version, []docsgpt.Group{docsgpt.GroupWidget}, nil)
	if err != nil {
		log.Fatal(err)
	}
	endpoint := routes.Find("/stream").Endpoint("POST")

	for _, input := range []string{`{"question":1}`, `{}`, `{"question":"a","question":"b"}`} {
		var body docsgpt.Body
		err := body.Parse(endpoint, []byte(input))
		if err == nil {
			err = body.Check(endpoint)
		}
		fmt.Println(err)
	}

	// Output:
	// the field "question" has the wrong type: it must be a string
	// the field "question" is missing
	// a field is specified twice in the body
}

// A network chunk may end inside an event. The filter returns complete events only, without comments and IDs.
func ExampleSSEFilter() {
	var filter docsgpt.SSEFilter
	for _, chunk := range []string{
		": keep-alive\n\nid: 1\ndata: {\"type\":\"answer\",\"ans",
		"wer\":\"Hello\"}\n\n",
		"data: {\"type\":\"end\"}\n\n",
	} {
		events, err := filter.Filter(nil, []byte(chunk))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%q\n", events)
	}
	fmt.Println("done:", filter.Done())

	// Output:
	// ""
	// "data: {\"type\":\"answer\",\"answer\":\"Hello\"}\n\n"
	// "data: {\"type\":\"end\"}\n\n"
	// done: true
}

// DocsGPT's own texts are replaced, and the error has the format of the endpoint's clients.
func ExampleMapError() {
	version, err := docsgpt.FindVersion("1.1")
	if err != nil {
		log.Fatal(err)
	}
	routes, err := docsgpt.NewRoutes(version, []docsgpt.Group{docsgpt.GroupWidget}, nil)
	if err != nil {
		log.Fatal(err)
	}
	endpoint := routes.Find("/stream").Endpoint("POST")

	mapped := docsgpt.MapError(endpoint, 500, nil, []byte(`{"message":"psycopg.OperationalError: password authentication failed"}`))
	fmt.Printf("%s", endpoint.ErrorFormat.AppendError(nil, mapped, "4bf92f35"))

	// Output:
	// data: {"type":"error","error":"The answer service has a problem. Please try again later.","code":"upstream_error","request_id":"4bf92f35"}
}
