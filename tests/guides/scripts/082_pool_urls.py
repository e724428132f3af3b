"""Fetching pages with a Pool, from a server of our own; what cannot be fetched is reported, not raised."""
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import Pool

PAGES = {"/": "welcome", "/news": "nothing new", "/about": "this is a test" * 1000}


class Site(BaseHTTPRequestHandler):
    def do_GET(self):
        page = PAGES.get(self.path)
        self.send_response(200 if page else 404)
        self.end_headers()
        self.wfile.write((page or "").encode())

    def log_message(self, *args):
        pass


def fetch(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=30) as answer:
            return answer.status, len(answer.read())
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, 0
    except urllib.error.URLError:
        return "unreachable", 0


if __name__ == "__main__":
    pool = Pool(3)  # before the server's thread starts: forked children then have no half of it
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    urls = [base + path for path in (*PAGES, "/missing")] + ["http://127.0.0.1:9/"]
    answers = pool.map(fetch, urls)
    pool.close()
    pool.join()
    server.shutdown()
    server.server_close()
    assert answers[:4] == [(200, 7), (200, 11), (200, 14000), (404, 0)]
    for url, answer in zip(urls, answers):
        print(url.rpartition("/")[2] or "(root)", *answer)
