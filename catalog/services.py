"""What writes to the catalogue: rows by name, made where they are not there yet, and changes to many songs at once."""

from collections.abc import Iterable
from functools import partial

from django.db import transaction
from django.db.models import Q, QuerySet

from catalog.models import Album, Artist, Genre, Song, fold

AlbumKey = tuple[str, int | None]  # title, the artist's database id


def ensure_artists(*, names: Iterable[str]) -> dict[str, Artist]:
    """The artists of these names that need no telling apart, made where absent."""
    wanted = set(names)
    found = _artists(wanted)
    absent = sorted(wanted - found.keys())
    if not absent:
        return found
    # Another writer may make the same artist meanwhile: then theirs is taken.
    Artist.objects.bulk_create(
        (Artist(name=name, search_text=fold(name)) for name in absent), ignore_conflicts=True, batch_size=1000
    )
    return found | _artists(set(absent))


def _artists(names: set[str]) -> dict[str, Artist]:
    return {artist.name: artist for artist in Artist.objects.filter(name__in=names, disambiguation="")}


def ensure_albums(*, keys: Iterable[tuple[str, Artist | None]]) -> dict[AlbumKey, Album]:
    """The albums of these titles and artists, made where absent; by title and the artist's id."""
    wanted = {(title, artist and artist.pk): artist for title, artist in keys}
    found = _albums(wanted)
    absent = [key for key in wanted if key not in found]
    if not absent:
        return found
    made = [Album(title=title, artist=wanted[title, artist_id]) for title, artist_id in absent]
    for album in made:
        album.search_text = fold(album.searched())
    Album.objects.bulk_create(made, ignore_conflicts=True, batch_size=1000)
    return found | _albums(absent)


def _albums(keys: Iterable[AlbumKey]) -> dict[AlbumKey, Album]:
    wanted = set(keys)
    titles, artist_ids = {title for title, _ in wanted}, {artist_id for _, artist_id in wanted if artist_id}
    albums = Album.objects.filter(Q(artist__in=artist_ids) | Q(artist=None), title__in=titles).select_related("artist")
    by_key = {(album.title, album.artist_id): album for album in albums.iterator()}
    return {key: by_key[key] for key in wanted & by_key.keys()}


def ensure_genres(*, names: Iterable[str]) -> dict[str, Genre]:
    """The genres of these names, made where absent, each with a slug of its own."""
    wanted = set(names)
    found = {genre.name: genre for genre in Genre.objects.filter(name__in=wanted)}
    for name in sorted(wanted - found.keys()):
        found[name] = Genre.objects.create(name=name)
    return found


def song_ids(*, source_ids: Iterable[str]) -> dict[str, int]:
    """Database ids of imported songs by their id in the file; unknown ones are left out."""
    return dict(Song.objects.filter(source_id__in=set(source_ids)).values_list("source_id", "pk"))


@transaction.atomic
def refresh_search(*, renamed: Artist | Album) -> None:
    """Fold anew the songs and albums that are found by this one's name too."""
    _fold_anew(renamed.songs.for_cards())
    if isinstance(renamed, Artist):
        _fold_anew(renamed.albums.select_related("artist"))


def _fold_anew(rows: QuerySet) -> None:
    found = list(rows)
    for row in found:
        row.search_text = fold(row.searched())
    rows.model.objects.bulk_update(found, ["search_text"], batch_size=200)


def set_genre(*, songs: QuerySet[Song], genre: Genre | None) -> int:
    """Give all these songs one genre, or none; how many there were."""
    return songs.update(genre=genre)


def forget_popularity(*, songs: QuerySet[Song]) -> int:
    return songs.update(popularity=None)


def remove_audio(*, songs: QuerySet[Song]) -> int:
    """Take the audio files from these songs, which are synthesised from then on; how many had one."""
    removed = 0
    for song in songs.exclude(audio="").iterator():
        audio = song.audio
        with transaction.atomic():
            Song.objects.filter(pk=song.pk).update(audio="", audio_ms=None)
            # The file goes once the row no longer names it, never before.
            transaction.on_commit(partial(audio.storage.delete, audio.name))
        removed += 1
    return removed
