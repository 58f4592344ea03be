// What each client's function does, by the last part of the event's path.
package main

import (
	"context"
	"errors"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type tooLate struct{}

func (tooLate) Read([]byte) (int, error) { return 0, errors.New("too late") }

var count int

func stream(body io.Reader) *events.LambdaFunctionURLStreamingResponse {
	return &events.LambdaFunctionURLStreamingResponse{
		StatusCode: 202, Headers: map[string]string{"X-A": "b"}, Cookies: []string{"c=1", "d=2"}, Body: body}
}

func handle(ctx context.Context, e events.LambdaFunctionURLRequest) (any, error) {
	count++
	switch path.Base(e.RawPath) {
	case "echo":
		return events.LambdaFunctionURLResponse{
			StatusCode: 200, Body: e.Body, IsBase64Encoded: e.IsBase64Encoded, Cookies: []string{"c=1", "d=2"},
			Headers: map[string]string{"X-Function": lambdacontext.FunctionName}}, nil
	case "error":
		return nil, errors.New("broken")
	case "panic":
		panic("a panic")
	case "stream":
		return stream(io.MultiReader(strings.NewReader("one"), strings.NewReader(" two"))), nil
	case "late":
		return stream(io.MultiReader(strings.NewReader("one"), tooLate{})), nil
	}
	return events.LambdaFunctionURLResponse{StatusCode: 200, Body: strconv.Itoa(count)}, nil
}

func main() { lambda.Start(handle) }
