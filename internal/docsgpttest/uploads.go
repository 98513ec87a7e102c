package docsgpttest

import (
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
)

// uploads stores attachments, the tasks that parse them, artifacts and transcripts. Call reset before the first use.
type uploads struct {
	mu          sync.Mutex
	files       map[string]string // file names by attachment
	tasks       map[string]*task
	artifacts   map[string]*artifact
	transcripts map[string]*transcript
}

// task is a job of the worker. Its status is PROGRESS at the first poll, SUCCESS afterwards.
type task struct {
	attachment, filename, owner string // owner is empty if it was created with a key: the status is public
	polls                       int
}

func (u *uploads) reset() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files, u.tasks = map[string]string{}, map[string]*task{}
	u.artifacts, u.transcripts = map[string]*artifact{}, map[string]*transcript{}
}

// attachmentNames returns the file names of the attachments of a chat. Unknown ids are ignored.
func (u *uploads) attachmentNames(ids any) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	list, _ := ids.([]any)
	var names []string
	for _, id := range list {
		text, _ := id.(string)
		if name, known := u.files[text]; known {
			names = append(names, name)
		}
	}
	return names
}

// storeAttachment is POST /api/store_attachment.
func (b *Backend) storeAttachment(w http.ResponseWriter, r *request) {
	f := r.form()
	user, keyed, ok := b.formCaller(w, r, f)
	switch {
	case !ok:
		return
	case len(f.files) == 0 || f.files[0].name == "" && len(f.files) == 1:
		writeJSON(w, http.StatusBadRequest, fields{"status": "error", "message": "Missing file(s)"})
		return
	case rejectAnonymous(w, user):
		return
	}
	if keyed {
		user = ""
	}
	var tasks, errors []any
	for i, file := range f.files {
		if extension := strings.ToLower(path.Ext(file.name)); extension == ".mp4" || extension == ".exe" {
			errors = append(errors, fields{
				"error": "Unsupported file type: " + extension, "filename": file.name, "upload_index": i,
			})
			continue
		}
		id, attachment := newUUID(), newUUID()
		b.uploads.mu.Lock()
		b.uploads.files[attachment] = file.name
		b.uploads.tasks[id] = &task{attachment: attachment, filename: file.name, owner: user}
		b.uploads.mu.Unlock()
		tasks = append(tasks, fields{"task_id": id, "attachment_id": attachment, "filename": file.name, "upload_index": i})
	}
	switch {
	case len(tasks) == 0:
		writeJSON(w, http.StatusBadRequest, fields{
			"success": false, "message": errors[0].(fields)["error"], "errors": errors,
		})
	case len(f.files) == 1:
		only := tasks[0].(fields)
		writeJSON(w, http.StatusOK, fields{
			"success": true, "task_id": only["task_id"], "attachment_id": only["attachment_id"],
			"message": "File uploaded successfully. Processing started.",
		})
	default:
		response := fields{
			"success": true, "tasks": tasks,
			"message": fmt.Sprintf("%d file(s) uploaded successfully. Processing started.", len(tasks)),
		}
		if len(errors) > 0 {
			response["errors"] = errors
		}
		writeJSON(w, http.StatusOK, response)
	}
}

// taskStatus is GET /api/task_status.
func (b *Backend) taskStatus(w http.ResponseWriter, r *request) {
	c, ok := b.bearer(w, r)
	if !ok {
		return
	}
	id := r.URL.Query().Get("task_id")
	if id == "" {
		writeJSON(w, http.StatusBadRequest, fields{"success": false, "message": "Task ID is required"})
		return
	}
	b.uploads.mu.Lock()
	t := b.uploads.tasks[id]
	if t == nil || t.owner != "" && !c.token && !b.opts.Open {
		b.uploads.mu.Unlock()
		writeJSON(w, http.StatusNotFound, fields{"success": false, "message": "Task not found"})
		return
	}
	t.polls++
	first, done := t.polls == 1, *t
	b.uploads.mu.Unlock()
	if first {
		writeJSON(w, http.StatusOK, fields{"status": "PROGRESS", "result": fields{"current": 30, "status": "Processing content"}})
		return
	}
	writeJSON(w, http.StatusOK, fields{"status": "SUCCESS", "result": fields{
		"attachment_id": done.attachment, "filename": done.filename, "mime_type": "text/plain", "token_count": 7,
		"path": "inputs/" + owner + "/attachments/" + done.attachment + "/" + done.filename, "metadata": fields{},
	}})
}
