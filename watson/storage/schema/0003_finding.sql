-- What images are looked for by, beside their key: how uncertain they are, whether they have masks, and how their masks
-- score and how much of the picture they cover. uncertainty_of is watson.storage.uncertainty, for the rows that are there.

-- 0-1, and how many
ALTER TABLE images ADD COLUMN uncertainty REAL;
ALTER TABLE images ADD COLUMN masks INTEGER;

-- 0-1 both; area as a fraction of the picture
ALTER TABLE masks ADD COLUMN score REAL;
ALTER TABLE masks ADD COLUMN area REAL;

UPDATE images SET uncertainty = uncertainty_of(event), masks = json_array_length(event, '$.data.masks')
WHERE json_valid(event);

UPDATE masks SET score = json_extract(mask, '$.score'), area = json_extract(mask, '$.area') / (
    SELECT 1.0 * json_extract(event, '$.data.normalised.width') * json_extract(event, '$.data.normalised.height')
    FROM images WHERE images.job = masks.job AND images.image_key = masks.image_key AND json_valid(event)
) WHERE json_valid(mask);

CREATE INDEX IF NOT EXISTS images_by_uncertainty ON images (job, uncertainty, image_key, masks);
CREATE INDEX IF NOT EXISTS images_with_nothing ON images (job, image_key) WHERE masks = 0;
CREATE INDEX IF NOT EXISTS masks_found_by_image ON masks (job, image_key, category, score, area);
CREATE INDEX IF NOT EXISTS masks_found_by_category ON masks (job, category, image_key, score, area);

-- masks_found_by_image begins with the same columns
DROP INDEX IF EXISTS masks_of_image;
